// Pictures as buttons in a grid.
export default function ({ data, parentElement, setTriggerValue }) {
  const list = parentElement.querySelector("ul");
  list.className = data.captions ? "" : "strip";
  list.style.setProperty("--columns", `${data.columns}px`);
  const kept = new Map([...list.children].map((item) => [item.told, item]));
  const items = data.cards.map((card) => {
    const told = JSON.stringify([card, data.captions]);
    const item = kept.get(told) ?? made(card, data.captions, told);
    kept.delete(told);
    item.firstChild.onclick = () => {
      list.clicked = item.firstChild;
      setTriggerValue("clicked", card.id);
    };
    return item;
  });
  // A dialog that is closed gives the focus back to what had it, as the document sees it: this
  // shadow root's host, which cannot take it.
  const { host } = list.getRootNode();
  if (host) host.focus = (how) => list.clicked?.focus(how);
  // What has not changed stays in place, and keeps the focus.
  if (items.length !== list.children.length || items.some((item, at) => item !== list.children[at]))
    list.replaceChildren(...items);
}

function made(card, captions, told) {
  const item = document.createElement("li");
  item.told = told;
  const button = item.appendChild(document.createElement("button"));
  button.type = "button";
  const image = button.appendChild(document.createElement("img"));
  image.src = `data:image/webp;base64,${card.image}`;
  image.alt = card.caption || "A picture without a caption";
  if (!captions) return item;
  const text = button.appendChild(document.createElement("span"));
  text.className = "text";
  const caption = text.appendChild(document.createElement("span"));
  caption.className = "said";
  caption.setAttribute("aria-hidden", "true"); // the picture's alternative says it
  caption.append(...withMarks(card.caption, card.marked));
  for (const part of ["score", "note"]) {
    if (!card[part]) continue;
    const line = text.appendChild(document.createElement("span"));
    line.className = part;
    line.textContent = card[part];
  }
  return item;
}

const LETTER = "[\\p{L}\\p{M}\\p{N}]";
// Words of scripts without spaces, as engine/words.py has them, and signs have no ends to look for.
const ENDLESS = new RegExp(
  ["Han", "Hiragana", "Katakana", "Thai", "Lao", "Khmer", "Myanmar"]
    .map((script) => `\\p{sc=${script}}`)
    .join("|") + `|[ーｰ]|^(?!${LETTER})`,
  "u",
);

function sought(word) {
  const text = word.replace(
    /[^\p{L}\p{M}\p{N}]/gu,
    (sign) => `\\u{${sign.codePointAt(0).toString(16)}}`,
  );
  return ENDLESS.test(word) ? text : `(?<!${LETTER})${text}(?!${LETTER})`;
}

function withMarks(caption, words) {
  if (!words.length) return [caption];
  const wanted = [...words].sort((a, b) => b.length - a.length);
  return caption.split(new RegExp(`(${wanted.map(sought).join("|")})`, "iu")).map((piece, at) => {
    if (at % 2 === 0) return piece;
    const mark = document.createElement("mark");
    mark.textContent = piece;
    return mark;
  });
}
