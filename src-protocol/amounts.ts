/** Figures as a person reads them. */

export function number(value: number): string {
  return value.toLocaleString("en-GB");
}

export function plural(count: number, one: string, many = `${one}s`): string {
  return `${number(count)} ${count === 1 ? one : many}`;
}

export function size(bytes: number): string {
  return scaled(bytes, "B");
}

export function scaled(value: number, unit: string): string {
  const [prefix, per] = (
    [
      ["T", 1e12],
      ["G", 1e9],
      ["M", 1e6],
      ["k", 1e3],
    ] as const
  ).find(([, per]) => value >= per) ?? ["", 1];
  return `${per === 1 ? Math.round(value) : (value / per).toFixed(1)} ${prefix}${unit}`;
}

/** `8_040_000` → `"2 h 14 min"`. */
export function duration(ms: number): string {
  const minutes = Math.floor(ms / 60_000);
  if (minutes < 1) return `${Math.max(0, Math.floor(ms / 1000))} s`;
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return minutes % 60 === 0 ? `${hours} h` : `${hours} h ${minutes % 60} min`;
  return `${Math.floor(hours / 24)} days ${hours % 24} h`;
}
