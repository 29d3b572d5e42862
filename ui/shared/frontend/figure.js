// Shares as bars under one another, each said in words and in figures.
export default function ({ data, parentElement }) {
  const list = parentElement.querySelector("ul");
  list.replaceChildren(
    ...data.bars.map(({ name, share, told, best }) => {
      const row = document.createElement("li");
      row.className = best ? "best" : "";
      for (const [part, text] of [["name", name], ["told", told]]) {
        const line = row.appendChild(document.createElement("span"));
        line.className = part;
        line.textContent = text;
      }
      const bar = row.appendChild(document.createElement("span"));
      bar.className = "bar";
      bar.appendChild(document.createElement("span")).style.width = `${100 * share}%`;
      return row;
    }),
  );
}
