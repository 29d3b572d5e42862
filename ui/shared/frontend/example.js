// A picture that has been described already.
export default function ({ data, parentElement }) {
  const place = parentElement.querySelector(".place");
  const told = JSON.stringify(data);
  if (place.told === told) return;
  place.told = told;
  const figure = element("figure", "example");
  const image = figure.appendChild(element("img"));
  image.src = `data:image/webp;base64,${data.image}`;
  image.alt = data.caption;
  const words = figure.appendChild(element("figcaption"));
  words.append(element("p", "said", data.caption), element("p", "note", data.note));
  place.replaceChildren(figure);
}

function element(tag, className = "", text = "") {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.textContent = text;
  return made;
}
