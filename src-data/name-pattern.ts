/** `*` and `?` within a name, `**` over folders; a pattern without `/` fits a file in any folder. */
export function matchesAny(patterns: readonly string[], name: string): boolean {
  const base = name.split("/").pop() ?? name;
  return patterns.some((pattern) => expression(pattern).test(pattern.includes("/") ? name : base));
}

function expression(pattern: string): RegExp {
  const source = pattern.replace(/\*\*\/|\*+|\?|[.+^${}()|[\]\\]/g, (part) => {
    if (part === "**/") return "(.*/)?";
    if (part === "?") return "[^/]";
    if (part.startsWith("*")) return part === "*" ? "[^/]*" : ".*";
    return `\\${part}`;
  });
  return new RegExp(`^${source}$`, "i");
}
