// Collections as cards; the chosen one is marked in words too.
export default function ({ data, parentElement, setTriggerValue }) {
  const list = parentElement.querySelector("ul");
  const told = JSON.stringify(data);
  if (list.told !== told) {
    const focused = list.getRootNode().activeElement?.name;
    list.replaceChildren(...data.map((card) => made(card, list)));
    if (focused) list.querySelector(`button[name="${CSS.escape(focused)}"]`)?.focus();
    list.told = told;
  }
  list.choose = (name) => setTriggerValue("clicked", name);
}

function made(card, list) {
  const item = element("li");
  const button = item.appendChild(element("button"));
  button.type = "button";
  button.name = card.name;
  if (card.chosen) button.setAttribute("aria-current", "true");
  button.onclick = () => list.choose(card.name);
  const cover = button.appendChild(element("span", `cover of${Math.max(1, card.covers.length)}`));
  for (const data of card.covers) {
    const image = cover.appendChild(element("img"));
    image.src = `data:image/webp;base64,${data}`;
    image.alt = "";
  }
  const text = button.appendChild(element("span", "text"));
  text.append(element("span", "name", card.name), element("span", "told", card.told));
  if (card.chosen) text.append(element("span", "badge", "✓ Chosen"));
  return item;
}

function element(tag, className = "", text = "") {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.textContent = text;
  return made;
}
