// Says so when a page that was loaded anew has lost the pictures that were given before.
const KEY = "mrag-given";

export default function ({ data, parentElement }) {
  const told = parentElement.querySelector(".mrag-remembered");
  const before = read();
  if (data.given) told.textContent = "";
  else if (before && before.session !== data.session && before.given)
    told.textContent = lost(before.given);
  write(JSON.stringify(data));
}

function lost(given) {
  const [what, again] =
    given === 1
      ? ["the picture", "Give it again to see its description."]
      : [`the ${given} pictures`, "Give them again to see their descriptions."];
  return `Loading the page anew has let go of ${what} that you gave. ${again}`;
}

function read() {
  try {
    return JSON.parse(sessionStorage.getItem(KEY));
  } catch {
    return null; // a browser that keeps nothing
  }
}

function write(text) {
  try {
    sessionStorage.setItem(KEY, text);
  } catch {
    // the same
  }
}
