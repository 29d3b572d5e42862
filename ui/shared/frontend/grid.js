// Pictures as buttons in a grid.
export default function ({ data, parentElement, setTriggerValue }) {
  const list = parentElement.querySelector("ul");
  list.className = data.captions ? "" : "strip";
  list.style.setProperty("--columns", `${data.columns}px`);
  const kept = new Map([...list.children].map((item) => [item.told, item]));
  const items = data.cards.map((card) => {
    const told = JSON.stringify([card, data.captions, data.picking]);
    const item = kept.get(told) ?? made(card, data, told);
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
  pick(list, parentElement.querySelector(".bar"), data, setTriggerValue);
}

// Choosing several: each picture may be liked or not, and the bar says how many are. All grids of a
// page, and its pages one after the other, share what was chosen.
const CHANGED = "mrag-picks";

function pick(list, bar, { picking }, setTriggerValue) {
  const picks = (window.mragPicks ??= new Map());
  if (picking && picks.of !== picking) {
    picks.clear();
    picks.of = picking;
  }
  const [told, search, clear] = bar.children;
  const named = (how) => [...picks].filter(([, as]) => as === how).map(([id]) => id);
  list.draw = () => {
    const [like, unlike] = [named("like").length, named("unlike").length];
    bar.hidden = !(picking && (like || unlike));
    told.textContent = [like && `${like} like these`, unlike && `${unlike} not those`]
      .filter(Boolean)
      .join(", ");
    for (const button of list.querySelectorAll(".picks button"))
      button.setAttribute("aria-pressed", picks.get(button.of) === button.as);
  };
  const changed = () => document.dispatchEvent(new Event(CHANGED));
  for (const button of list.querySelectorAll(".picks button"))
    button.onclick = () => {
      if (picks.get(button.of) === button.as) picks.delete(button.of);
      else picks.set(button.of, button.as);
      changed();
    };
  search.onclick = () => {
    setTriggerValue("picked", { like: named("like"), unlike: named("unlike") });
    picks.clear();
    changed();
  };
  clear.onclick = () => {
    picks.clear();
    changed();
    list.querySelector(".picks button")?.focus();
  };
  if (!list.listens) {
    list.listens = () =>
      list.isConnected ? list.draw() : document.removeEventListener(CHANGED, list.listens);
    document.addEventListener(CHANGED, list.listens);
  }
  list.draw();
}

function picks(card) {
  const choices = document.createElement("div");
  choices.className = "picks";
  for (const [as, sign, says] of [
    ["like", "+", "More like this"],
    ["unlike", "−", "Not like this"],
  ]) {
    const button = choices.appendChild(document.createElement("button"));
    button.type = "button";
    Object.assign(button, { of: card.id, as, textContent: sign, title: says });
    button.setAttribute("aria-label", `${says}: ${card.caption || "a picture"}`);
  }
  return choices;
}

function made(card, { captions, picking }, told) {
  const item = document.createElement("li");
  item.told = told;
  const button = item.appendChild(document.createElement("button"));
  button.type = "button";
  const image = button.appendChild(document.createElement("img"));
  image.src = `data:image/webp;base64,${card.image}`;
  image.alt = card.caption || "A picture without a caption";
  if (picking) item.append(picks(card));
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
