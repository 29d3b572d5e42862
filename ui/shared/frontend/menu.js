// On a phone the menu lies over the page: it gives way once it has been used.
const PHONE = "(max-width: 768px)";
const ENTERED = new URL(performance.getEntriesByType("navigation")[0].name).pathname;
const CLOSE = '[data-testid="stSidebarCollapseButton"] button';

export default function ({ data, parentElement }) {
  const place = parentElement.querySelector("span");
  const before = place.told;
  place.told = data;
  // It may have been used before this script had come.
  const used = before === undefined ? location.pathname !== ENTERED : before !== data;
  if (!used || !matchMedia(PHONE).matches) return;
  const side = document.querySelector('[data-testid="stSidebar"]');
  if (side?.dataset.collapsed === "false") document.querySelector(CLOSE)?.click();
}
