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
