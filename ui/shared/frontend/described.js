// A picture and its description, or the trouble with it.
export default function ({ data, parentElement }) {
  const place = parentElement.querySelector(".place");
  const { said, ...shown } = data;
  const told = JSON.stringify(shown);
  if (place.told === told) return;
  place.told = told;
  place.replaceChildren(data.trouble ? trouble(data) : described(data));
  // Of several each is heard as soon as it is there; the page sums up when all are.
  const status = document.querySelector(".mrag-announcer");
  if (said && status) status.textContent = said;
}

function described(data) {
  const whole = element("div", "described");
  const side = whole.appendChild(element("div"));
  side.appendChild(element("h2", "caption", data.caption));
  for (const note of data.notes) side.appendChild(element("p", "note", note));
  const button = side.appendChild(element("button", "copy", "Copy caption"));
  button.type = "button";
  button.onclick = async () => {
    button.textContent = (await copied(data.caption, whole)) ? "Copied" : "Could not copy";
    setTimeout(() => (button.textContent = "Copy caption"), 1500);
  };
  const image = whole.appendChild(element("img"));
  image.src = `data:image/webp;base64,${data.image}`;
  image.alt = data.caption;
  return whole;
}

function trouble(data) {
  return element("p", "trouble", `${data.name}: ${data.trouble}`);
}

function element(tag, className = "", text = "") {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.textContent = text;
  return made;
}

async function copied(text, near) {
  if (navigator.clipboard && window.isSecureContext) {
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch {
      // refused: the old way may still work
    }
  }
  // Over plain http browsers have no clipboard, only this.
  const field = near.appendChild(element("textarea"));
  field.value = text;
  field.style.position = "fixed";
  field.select();
  const done = document.execCommand("copy");
  field.remove();
  return done;
}
