export interface CutNetwork<V> {
  readonly edges: Iterable<readonly [from: V, to: V]>;
  readonly sources: Iterable<V>;
  readonly sinks: Iterable<V>;
  /** Positive; infinite: it is in no set. */
  readonly costOf: (vertex: V) => number;
}

/**
 * The vertices of least cost on every way from a source to a sink, which may be among them; of several
 * such sets the one nearest to the sinks (Ford and Fulkerson, "Maximal flow through a network", 1956:
 * what the flow fills. Ways are the shortest, Edmonds and Karp, 1972).
 */
export function leastCut<V>({ edges, sources, sinks, costOf }: CutNetwork<V>): Set<V> {
  const network = new Network();
  const halves = new Map<V, Halves>();
  const source = network.add();
  const sink = network.add();
  // A vertex is two, and what flows through it flows from one to the other.
  const halvesOf = (vertex: V): Halves => {
    const known = halves.get(vertex);
    if (known !== undefined) return known;
    const made = { in: network.add(), out: network.add() };
    network.join(made.in, made.out, costOf(vertex));
    halves.set(vertex, made);
    return made;
  };
  for (const [from, to] of edges) network.join(halvesOf(from).out, halvesOf(to).in, Infinity);
  for (const vertex of new Set(sources)) network.join(source, halvesOf(vertex).in, Infinity);
  for (const vertex of new Set(sinks)) network.join(halvesOf(vertex).out, sink, Infinity);

  network.fill(source, sink);
  const near = network.before(sink);
  return new Set(
    [...halves].flatMap(([vertex, { in: i, out }]) => (near.has(out) && !near.has(i) ? [vertex] : [])),
  );
}

interface Halves {
  readonly in: number;
  readonly out: number;
}

/** What more may flow from `from` to `to`; `back`: the same the other way. */
interface Pipe {
  readonly from: number;
  readonly to: number;
  room: number;
  back: Pipe | null;
}

class Network {
  readonly #pipes: Pipe[][] = [];

  add(): number {
    return this.#pipes.push([]) - 1;
  }

  join(from: number, to: number, room: number): void {
    const there: Pipe = { from, to, room, back: null };
    const back: Pipe = { from: to, to: from, room: 0, back: there };
    there.back = back;
    this.#pipes[from]?.push(there);
    this.#pipes[to]?.push(back);
  }

  fill(source: number, sink: number): void {
    for (let way = this.#way(source, sink); way.length > 0; way = this.#way(source, sink)) {
      const flow = Math.min(...way.map(({ room }) => room));
      for (const pipe of way) {
        pipe.room -= flow;
        if (pipe.back !== null) pipe.back.room += flow;
      }
    }
  }

  /** From where something could still flow to `sink`. */
  before(sink: number): Set<number> {
    const found = new Set([sink]);
    for (const at of found)
      for (const { to, back } of this.#pipes[at] ?? []) if ((back?.room ?? 0) > 0) found.add(to);
    return found;
  }

  /** The shortest with room; empty: there is none. */
  #way(source: number, sink: number): Pipe[] {
    const by = new Map<number, Pipe | null>([[source, null]]);
    for (const [at] of by) {
      if (at === sink) break;
      for (const pipe of this.#pipes[at] ?? []) if (pipe.room > 0 && !by.has(pipe.to)) by.set(pipe.to, pipe);
    }
    const way: Pipe[] = [];
    for (let pipe = by.get(sink); pipe; pipe = by.get(pipe.from)) way.push(pipe);
    return way;
  }
}
