// Where what is found begins: another search, or another page of it, is shown from there.
// The element may be made anew while the page runs, so what was shown last is kept here.
let last;

export default function ({ data, parentElement }) {
  const place = parentElement.querySelector("span");
  if (last !== undefined && last !== data && place.getBoundingClientRect().top < HEADER)
    place.scrollIntoView({ block: "start" });
  last = data;
}

const HEADER = 80;
