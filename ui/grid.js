// Cards as buttons. Data is only ever put in as text or as the bytes of a picture.
export default function ({ data, parentElement, setTriggerValue }) {
  const list = parentElement.querySelector("ul");
  list.style.setProperty("--columns", `${data.columns}px`);
  const kept = new Map([...list.children].map((item) => [item.dataset.card, item]));
  const items = data.cards.map((card) => {
    const signature = JSON.stringify(card);
    const item = kept.get(signature) ?? made(card, signature);
    kept.delete(signature);
    item.querySelector("button").onclick = () => setTriggerValue("clicked", card.id);
    return item;
  });
  const same =
    items.length === list.children.length && items.every((item, at) => list.children[at] === item);
  if (!same) list.replaceChildren(...items);
}

function made(card, signature) {
  const item = document.createElement("li");
  item.dataset.card = signature;
  const button = item.appendChild(document.createElement("button"));
  button.type = "button";
  const image = button.appendChild(document.createElement("img"));
  image.src = `data:image/webp;base64,${card.image}`;
  image.alt = card.caption || "A picture without a caption";
  const text = button.appendChild(document.createElement("span"));
  text.className = "text";
  const caption = text.appendChild(document.createElement("span"));
  caption.setAttribute("aria-hidden", "true"); // the picture's alternative says it
  caption.append(...marked(card.caption, card.marked));
  for (const part of ["score", "note"]) {
    if (!card[part]) continue;
    const line = text.appendChild(document.createElement("span"));
    line.className = part;
    line.textContent = card[part];
  }
  return item;
}

function marked(caption, words) {
  const wanted = new Set(words.map((word) => word.toLowerCase()));
  return caption.split(/([\p{L}\p{N}]+)/u).map((piece) => {
    if (!wanted.has(piece.toLowerCase())) return piece;
    const mark = document.createElement("mark");
    mark.textContent = piece;
    return mark;
  });
}
