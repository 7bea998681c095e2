/** Hands a text over to the browser as a download. */
export function saveFile(name: string, content: string): void {
  const url = URL.createObjectURL(new Blob([content], { type: "application/json" }));
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  // After the download has begun; the browser keeps what it needs.
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
