// What a screen reader says when an answer has come; what was said last stays until then.
export default function ({ data, parentElement }) {
  const status = parentElement.querySelector(".mrag-announcer");
  if (status.told === data) return;
  status.told = data;
  if (data) status.textContent = data;
}
