/**
 * The tray's marks, on a grid of 16: the dial again, small. Each state has its own shape, because
 * colour alone says nothing in a tray and macOS takes it away.
 */
export const TRAY_SHAPES = ["working", "waiting", "paused", "problem"] as const;
export type TrayShape = (typeof TRAY_SHAPES)[number];

export interface TrayColours {
  readonly ring: string;
  readonly mark: string;
}

/** Mid-tones, to be seen on a dark and on a light panel. */
export const TRAY_COLOURS: Record<TrayShape, TrayColours> = {
  working: { ring: "#f08a35", mark: "#f08a35" },
  waiting: { ring: "#7f8ea3", mark: "#7f8ea3" },
  paused: { ring: "#7f8ea3", mark: "#7f8ea3" },
  problem: { ring: "#e05656", mark: "#e05656" },
};

const MARKS: Record<TrayShape, (colours: TrayColours) => string> = {
  // A full dial with its hand: it runs.
  working: ({ ring }) =>
    `<path fill-rule="evenodd" fill="${ring}" d="M8 1a7 7 0 1 0 0 14A7 7 0 0 0 8 1ZM7 3.5h2v4.1l-3.3 3.3-1.4-1.4L7 6.8Z"/>`,
  // An empty dial with its hand: its time will come.
  waiting: ({ ring, mark }) =>
    `<circle cx="8" cy="8" r="6" fill="none" stroke="${ring}" stroke-width="2"/>` +
    `<path d="M8 4.5V8L5.6 10.4" fill="none" stroke="${mark}" stroke-width="2"/>`,
  // Two bars in the dial.
  paused: ({ ring, mark }) =>
    `<circle cx="8" cy="8" r="6" fill="none" stroke="${ring}" stroke-width="2"/>` +
    `<path fill="${mark}" d="M5 5h2v6H5zM9 5h2v6H9z"/>`,
  // A triangle: the only one without a dial.
  problem: ({ mark }) =>
    `<path fill-rule="evenodd" fill="${mark}" d="M7.2 1.5a.9.9 0 0 1 1.6 0L15.6 13.7a.9.9 0 0 1-.8 1.3H1.2a.9.9 0 0 1-.8-1.3ZM7 5.5v5h2v-5ZM7 11.5v2h2v-2Z"/>`,
};

export function trayDrawing(shape: TrayShape, colours: TrayColours): string {
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16">${MARKS[shape](colours)}</svg>`;
}
