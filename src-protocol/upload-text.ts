/** The exact text that a session key signs to store a blob of `total` bytes, or the rest of one from byte `from` on. */
export function uploadText(sha256: string, total: number, from: number): string {
  return from === 0 ? `blob\n${sha256}\n${total}` : `blob\n${sha256}\n${total}\n${from}`;
}
