/** A name of the file as a message may show it: a file can hold anything. */
export function printable(name: string): string {
  return name.replaceAll(/[^\x20-\x7e]/g, "?").slice(0, 120);
}
