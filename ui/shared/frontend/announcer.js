// What a screen reader says when an answer has come.
export default function ({ data, parentElement }) {
  const status = parentElement.querySelector(".mrag-announcer");
  if (status.textContent !== data) status.textContent = data;
}
