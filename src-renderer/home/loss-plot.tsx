import { count, decimals } from "../parts/format.ts";
import { say } from "../../src-protocol/say.ts";
import { useEffect, useRef } from "react";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import type { HistoryPoint } from "../../src-protocol/state.ts";
import { columns } from "./chart-points.ts";
import styles from "./loss-plot.module.css";

const HEIGHT = 260;
const MOST_DOTS = 40;

/** A canvas cannot read custom properties: elements that wear the colours are asked. */
const COLOURS = ["training", "heldOut", "axis", "grid"] as const;

export interface LossPlotProps {
  points: readonly HistoryPoint[];
  /** The place in `points` under the pointer. Always the same function: a new one makes a new chart. */
  onHover: (index: number | null) => void;
}

/** The line itself. Its colours are read once: the parent gives it a new `key` with a new theme. */
export function LossPlot({ points, onHover }: LossPlotProps) {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);

  useEffect(() => {
    const element = box.current;
    if (element === null) return;
    const chart = new uPlot(options(element.clientWidth, coloursOf(element), onHover), columns([]), element);
    plot.current = chart;
    const observer = new ResizeObserver(() => chart.setSize({ width: element.clientWidth, height: HEIGHT }));
    observer.observe(element);
    return () => {
      observer.disconnect();
      chart.destroy();
      plot.current = null;
    };
  }, [onHover]);

  useEffect(() => {
    plot.current?.setData(columns(points));
  }, [points]);

  return (
    <div ref={box} className={styles["plot"]} aria-hidden="true" data-testid="loss-plot">
      {COLOURS.map((name) => (
        <i key={name} className={styles[name]} data-colour={name} />
      ))}
    </div>
  );
}

type Colours = Record<(typeof COLOURS)[number], string>;

function coloursOf(box: HTMLElement): Colours {
  const of = (name: string) => {
    const element = box.querySelector(`[data-colour="${name}"]`);
    return element === null ? "" : getComputedStyle(element).color;
  };
  return { training: of("training"), heldOut: of("heldOut"), axis: of("axis"), grid: of("grid") };
}

function options(width: number, colours: Colours, onHover: (index: number | null) => void): uPlot.Options {
  const font = '12px "Inter Variable", system-ui, sans-serif';
  const axis = {
    stroke: colours.axis,
    font,
    labelFont: font,
    labelSize: 22,
    ticks: { show: false },
    values: spoken,
  };
  return {
    width,
    height: HEIGHT,
    legend: { show: false },
    // The last step's number is centred on the edge.
    padding: [8, 22, 0, 0],
    cursor: {
      drag: { x: false, y: false },
      y: false,
      points: { size: 8, width: 2, stroke: () => colours.training, fill: () => colours.training },
    },
    scales: {
      x: { time: false },
      y: { range: (_plot, low, high) => padded(low, high) },
    },
    axes: [
      {
        ...axis,
        label: say("step"),
        size: 30,
        grid: { show: false },
        space: (_plot, _axis, _low, _high, width) => (width < 400 ? 56 : 80),
      },
      {
        ...axis,
        label: say("nats per token"),
        size: 44,
        space: 44,
        grid: { stroke: colours.grid, width: 1 },
      },
    ],
    series: [
      {},
      { stroke: colours.training, width: 2, points: { show: false } },
      {
        stroke: colours.heldOut,
        width: 1.5,
        dash: [5, 4],
        spanGaps: true,
        points: { show: ({ data }) => fewValues(data[2]), size: 5, width: 0, fill: colours.heldOut },
      },
    ],
    hooks: { setCursor: [({ cursor }) => onHover(cursor.idx ?? null)] },
  };
}

/** Dots show where it was measured, until there are so many that they would hide the line. */
function fewValues(values: uPlot.TypedArray | readonly (number | null | undefined)[] | undefined): boolean {
  return Array.from(values ?? []).filter((value) => value !== null).length <= MOST_DOTS;
}

/** As the rest of the page writes numbers: the chart's own way follows the browser's language. */
function spoken(_plot: uPlot, ticks: readonly number[]): string[] {
  return ticks.map((tick) => (tick % 1 === 0 ? count(tick) : decimals(tick, 1)));
}

/** Some air above and below, so that the line never lies on the frame; a flat line lies in the middle. */
function padded(low: number, high: number): [number, number] {
  const air = Math.max((high - low) * 0.08, 0.05);
  return [Math.max(0, low - air), high + air];
}
