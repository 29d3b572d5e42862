// Two rankings and the lines between them. Data is only put in as text or as bytes of a picture.
export default function ({ data, parentElement, setTriggerValue }) {
  const root = parentElement.querySelector(".rankings");
  const asked = element("div", "asked", asking(data.asked));
  const verdict = element("p", "verdict", data.verdict);
  verdict.dataset.winner = data.winner ?? "nobody";
  const head = element("div", "head", asked, verdict);
  const lines = document.createElementNS(SVG, "svg");
  lines.setAttribute("aria-hidden", "true"); // every line is also said beside its find
  const lists = data.sides.map((side, at) => column(side, at, data, setTriggerValue));
  const rows = Math.max(...data.sides.map((side) => side.items.length));
  lines.style.gridRow = `2 / span ${Math.max(1, rows)}`;
  const board = element("div", data.pictures ? "board pictures" : "board", ...lists.flat(), lines);
  root.replaceChildren(head, board, element("p", "agreement", data.agreement));
  const draw = () => connect(board, lines, data.changes);
  const watcher = new ResizeObserver(draw);
  watcher.observe(board);
  for (const list of lists) for (const item of list[1].children) watcher.observe(item);
  return () => watcher.disconnect();
}

const SVG = "http://www.w3.org/2000/svg";
const HOOK = 20;

function asking(asked) {
  if (asked.words) return element("span", "words", `“${asked.words}”`);
  const image = element("img", "");
  image.src = `data:image/webp;base64,${asked.image}`;
  image.alt = "The picture that is asked about";
  return image;
}

function column(side, at, { pictures, winner }, setTriggerValue) {
  const wins = side.space === winner;
  const title = element("h2", "title", side.name);
  if (wins) title.append(element("span", "wins", "wins"));
  if (side.right) title.append(element("span", "right", side.right));
  const list = element("ol", side.space);
  list.setAttribute("role", "list");
  list.setAttribute("aria-label", side.name);
  side.items.forEach((item, rank) => {
    const row = element("li", item.right ? "item is-right" : "item", ...found(item, rank + 1));
    row.style.gridRow = rank + 2;
    if (pictures) {
      const button = element("button", "open", ...row.childNodes);
      button.type = "button";
      button.title = "Ask with this picture";
      button.onclick = () => setTriggerValue("clicked", item.id);
      row.append(button);
    }
    list.append(row);
  });
  title.style.gridColumn = at === 0 ? 1 : 3;
  return [title, list];
}

function found(item, rank) {
  const text = element("span", "text", item.text || "without a caption");
  const facts = element("span", "facts", item.score);
  if (item.right) facts.append(element("span", "badge right", "✓ right"));
  if (item.note) {
    const note = element("span", `badge ${item.kind}`, element("span", "seen", item.note));
    note.firstChild.setAttribute("aria-hidden", "true");
    note.append(element("span", "heard", item.said));
    facts.append(note);
  }
  const parts = [element("span", "rank", String(rank))];
  if (item.image) {
    const image = element("img", "");
    image.src = `data:image/webp;base64,${item.image}`;
    image.alt = ""; // its caption stands beside it
    parts.push(image);
  }
  return [...parts, element("span", "body", text, facts)];
}

function connect(board, lines, changes) {
  const box = lines.getBoundingClientRect();
  const middle = (space, rank) => {
    const item = board.querySelectorAll(`ol.${space} > li`)[rank - 1];
    if (!item) return null;
    const place = item.getBoundingClientRect();
    return place.top + place.height / 2 - box.top;
  };
  const paths = changes.map(([raw, mapped, kind]) => {
    const from = raw === null ? null : middle("raw", raw);
    const to = mapped === null ? null : middle("mapped", mapped);
    return line(from, to, kind, box.width);
  });
  lines.setAttribute("viewBox", `0 0 ${box.width} ${box.height}`);
  lines.replaceChildren(...paths);
}

// What is on one side only goes down on the other: its line ends in a short hook.
function line(from, to, kind, width) {
  const path = document.createElementNS(SVG, "path");
  const at = (share) => Math.round(width * share);
  let shape = `M0 ${from} C${at(0.5)} ${from} ${at(0.5)} ${to} ${width} ${to}`;
  if (to === null) shape = `M0 ${from} Q${at(0.3)} ${from} ${at(0.3)} ${from + HOOK}`;
  if (from === null) shape = `M${at(0.7)} ${to + HOOK} Q${at(0.7)} ${to} ${width} ${to}`;
  path.setAttribute("d", shape);
  path.setAttribute("class", kind);
  return path;
}

function element(tag, className, ...content) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.append(...content);
  return made;
}
