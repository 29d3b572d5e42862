// A picture from the clipboard: by the button, or by Ctrl+V anywhere but in a text field.
export default function ({ data, parentElement, setTriggerValue }) {
  const button = parentElement.querySelector("button");
  const told = parentElement.querySelector("p");

  const give = async (blob) => {
    if (blob.size > data.max_bytes) {
      told.textContent = `That picture has ${blob.size} bytes, the limit is ${data.max_bytes}.`;
      return;
    }
    told.textContent = "";
    setTriggerValue("pasted", { type: blob.type, data: await base64(blob), at: Date.now() });
  };

  button.onclick = async () => {
    if (!navigator.clipboard?.read) {
      told.textContent = "Press Ctrl+V (or ⌘V) instead: this browser reads no pictures by a button.";
      return;
    }
    try {
      for (const item of await navigator.clipboard.read()) {
        const type = item.types.find((one) => one.startsWith("image/"));
        if (type) return await give(await item.getType(type));
      }
      told.textContent = "There is no picture in the clipboard. Copy one, then try again.";
    } catch {
      told.textContent = "The browser did not allow it. Press Ctrl+V (or ⌘V) instead.";
    }
  };

  const onPaste = (event) => {
    if (event.target.closest?.("input, textarea, [contenteditable]")) return;
    const file = [...(event.clipboardData?.files ?? [])].find((one) =>
      one.type.startsWith("image/"),
    );
    if (file) give(file);
  };
  document.removeEventListener("paste", button.onPicture);
  document.addEventListener("paste", (button.onPicture = onPaste));
  return () => document.removeEventListener("paste", button.onPicture);
}

function base64(blob) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result.slice(reader.result.indexOf(",") + 1));
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(blob);
  });
}
