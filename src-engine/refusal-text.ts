/** A message is read by a person, and crosses borders that take 2000 letters. */
export const MOST_LETTERS = 1700;

/**
 * Nodes that stand in the way, by operator: `Loop (a, b); Scan (c and 12 more)`. Every operator is
 * named, and as many nodes as a message holds.
 */
export function nodesByOperator(places: ReadonlyMap<string, readonly string[]>): string {
  // Operators first: names of nodes of one may not hide that another is missing too.
  const taken = [...places.keys()].reduce((sum, op) => sum + op.length + 20, 0);
  const room = Math.max(0, (MOST_LETTERS - taken) / Math.max(1, places.size));
  return [...places].map(([op, names]) => `${op} (${listed(names, room)})`).join("; ");
}

/** As many names as fit into so many letters, at least one, and how many more there are. */
function listed(names: readonly string[], letters: number): string {
  let [count, length] = [0, 0];
  for (const name of names) {
    length += name.length + 2;
    if (count > 0 && length > letters) break;
    count++;
  }
  const more = names.length > count ? ` and ${names.length - count} more` : "";
  return `${names.slice(0, count).join(", ")}${more}`;
}
