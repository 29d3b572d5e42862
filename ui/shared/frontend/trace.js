// How an answer was made: a line for each stage, and below it what moved.
export default function ({ data, parentElement }) {
  const list = parentElement.querySelector("ol");
  list.replaceChildren(...data.steps.map((step) => shown(step, data.longest)));
}

function shown(step, longest) {
  const item = element("li", "");
  const line = item.appendChild(element("div", "line"));
  line.appendChild(element("span", "stage", step.stage));
  line.appendChild(element("span", "did", step.did));
  if (step.counts) line.appendChild(element("span", "counts", step.counts));
  line.appendChild(element("span", "ms", step.time));
  const bar = item.appendChild(element("div", "bar"));
  bar.setAttribute("aria-hidden", "true"); // the time is told in words
  bar.appendChild(element("div", "")).style.width = `${(100 * step.ms) / longest}%`;
  if (step.parts) item.appendChild(element("div", "parts", step.parts));
  for (const note of step.notes) item.appendChild(element("div", "note", note));
  if (step.moves.length) item.appendChild(moves(step));
  return item;
}

function moves(step) {
  const more = element("details", "");
  more.appendChild(element("summary", "", step.label));
  const list = more.appendChild(element("ul", ""));
  for (const move of step.moves) {
    const item = list.appendChild(element("li", ""));
    item.appendChild(element("span", "way", move.way));
    const text = item.appendChild(element("span", "text", move.item));
    if (move.became) text.append(element("span", "parts", " became "), move.became);
  }
  if (step.others) list.appendChild(element("li", "parts", `and ${step.others} more`));
  more.open = step.open;
  return more;
}

function element(tag, className, text = "") {
  const made = document.createElement(tag);
  made.className = className;
  made.textContent = text;
  return made;
}
