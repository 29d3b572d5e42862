// Texts with scores, best first, each with a picture where there are any.
export default function ({ data, parentElement }) {
  const list = parentElement.querySelector("ol");
  const pictures = data.rows.some((row) => row.image);
  list.className = pictures ? "" : "bare";
  list.replaceChildren(...data.rows.map((row) => made(row, pictures)));
}

function made(row, pictures) {
  const item = element("li", row.chosen ? "chosen" : "");
  if (pictures && row.image) {
    const image = item.appendChild(element("img"));
    image.src = `data:image/webp;base64,${row.image}`;
    image.alt = ""; // the text beside it is its caption
  } else if (pictures) item.appendChild(element("span", "blank"));
  item.appendChild(element("span", "score", row.score));
  const text = item.appendChild(element("span", "text", row.text));
  if (row.chosen) text.prepend(element("span", "badge", "✓ chosen"), " ");
  if (row.note) text.appendChild(element("span", "note", row.note));
  return item;
}

function element(tag, className, text = "") {
  const made = document.createElement(tag);
  made.className = className;
  made.textContent = text;
  return made;
}
