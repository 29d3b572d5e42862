// Where a list begins: a new page of it is shown from there.
export default function ({ data, parentElement }) {
  const place = parentElement.querySelector("span");
  if (place.page !== undefined && place.page !== data) place.scrollIntoView({ block: "center" });
  place.page = data;
}
