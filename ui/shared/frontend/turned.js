// Another search, or another page of it, is shown from its top.
// The element may be made anew while the page runs, so what was shown last is kept here.
let last;

export default function ({ data, parentElement }) {
  const { host } = parentElement.getRootNode();
  if (last !== undefined && last !== data)
    (host ?? parentElement).closest("[data-testid=stMain]")?.scrollTo({ top: 0 });
  last = data;
}
