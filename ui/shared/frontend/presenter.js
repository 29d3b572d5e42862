// One picture and its description, as large as the screen; keys turn to the next one.
export default function ({ data, parentElement, setTriggerValue }) {
  const stage = parentElement.querySelector(".stage");
  stage.at ??= data.at;
  stage.turn = (by) => {
    stage.at += by; // where to, not how far: a step that is told twice is one step
    setTriggerValue("turned", stage.at);
  };
  stage.leave = () => {
    if (document.fullscreenElement) document.exitFullscreen();
    setTriggerValue("left", true);
  };
  if (!stage.firstChild) build(stage);
  const image = stage.querySelector("img");
  if (stage.shown !== data.id) {
    stage.shown = data.id;
    image.src = `data:image/webp;base64,${data.image}`;
    image.alt = data.caption;
    stage.querySelector("h1").textContent = data.caption;
    const lines = [];
    if (data.sources.length) lines.push(`Written from: ${data.sources.join(" · ")}`);
    if (data.people) lines.push(`People wrote: ${data.people}`);
    stage.querySelector(".lines").replaceChildren(...lines.map((line) => element("p", "", line)));
    stage.querySelector(".place").textContent = data.place;
  }

  const onKey = (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const onButton = event.composedPath()[0]?.tagName === "BUTTON";
    if (onButton && (event.key === " " || event.key === "Enter")) return;
    const by = { ArrowRight: 1, PageDown: 1, " ": 1, n: 1, ArrowLeft: -1, PageUp: -1, p: -1 }[
      event.key
    ];
    if (by) stage.turn(by);
    else if (event.key === "f") fill();
    else if (event.key === "Escape") stage.leave();
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  // One listener, whether or not the last one was taken back before this run.
  document.removeEventListener("keydown", stage.onKey, true);
  document.addEventListener("keydown", (stage.onKey = onKey), true);
  return () => document.removeEventListener("keydown", stage.onKey, true);
}

function build(stage) {
  stage.append(element("img"));
  const said = stage.appendChild(element("div", "said"));
  said.setAttribute("role", "status");
  said.append(element("h1"), element("div", "lines"));
  const bar = stage.appendChild(element("div", "bar"));
  bar.append(
    button("← Previous", () => stage.turn(-1)),
    element("span", "place"),
    button("Next →", () => stage.turn(1)),
    button("Full screen (F)", fill),
    button("Leave (Esc)", () => stage.leave()),
  );
}

function fill() {
  if (document.fullscreenElement) document.exitFullscreen();
  else document.documentElement.requestFullscreen?.();
}

function button(label, act) {
  const made = element("button", "", label);
  made.type = "button";
  made.onclick = act;
  return made;
}

function element(tag, className = "", text = "") {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.textContent = text;
  return made;
}
