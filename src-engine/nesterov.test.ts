import { describe, expect, it } from "vitest";
import { nesterovStep, OUTER_NESTEROV } from "./nesterov.ts";

const zeros = (size: number): Float32Array[] => [new Float32Array(size)];

describe("the outer Nesterov step", () => {
  it("follows the published formula over several merges", () => {
    const parameters = [Float32Array.of(1, -2, 0.5)];
    const velocity = zeros(3);
    const expected = Array.from(parameters[0] ?? [], (value) => ({ value, b: 0 }));
    for (let merge = 0; merge < 4; merge++) {
      const delta = Float32Array.of(0.1 + merge, -0.3, 0.01 * merge);
      nesterovStep(parameters, [delta], velocity, OUTER_NESTEROV);
      for (const [i, x] of expected.entries()) {
        x.b = 0.9 * x.b + (delta[i] ?? 0);
        x.value -= 0.7 * ((delta[i] ?? 0) + 0.9 * x.b);
      }
    }
    for (const [i, { value, b }] of expected.entries()) {
      expect(parameters[0]?.[i]).toBeCloseTo(value, 5);
      expect(velocity[0]?.[i]).toBeCloseTo(b, 5);
    }
  });

  it("adopts the mean of the replicas at rate 1 without momentum", () => {
    const [start, mean] = [Float32Array.of(4, -8), Float32Array.of(3, -6.5)];
    const parameters = [start.slice()];
    const delta = start.map((value, i) => value - (mean[i] ?? 0));
    nesterovStep(parameters, [delta], zeros(2), { learningRate: 1, momentum: 0 });
    expect(parameters[0]).toEqual(mean);
  });

  it("goes on in the direction of earlier merges when replicas stand still", () => {
    const parameters = [Float32Array.of(0)];
    const velocity = zeros(1);
    nesterovStep(parameters, [Float32Array.of(-1)], velocity, OUTER_NESTEROV);
    const after = parameters[0]?.[0] ?? 0;
    nesterovStep(parameters, zeros(1), velocity, OUTER_NESTEROV);
    expect(parameters[0]?.[0]).toBeGreaterThan(after);
  });

  it("comes to the same bits however the parameters are cut into arrays", () => {
    const theta = Float32Array.from({ length: 64 }, (_, i) => Math.sin(i));
    const delta = Float32Array.from({ length: 64 }, (_, i) => Math.cos(3 * i) / 7);
    const whole = [theta.slice()];
    const parts = [theta.slice(0, 5), theta.slice(5)];
    const partVelocity = [new Float32Array(5), new Float32Array(59)];
    const wholeVelocity = zeros(64);
    for (let merge = 0; merge < 3; merge++) {
      nesterovStep(whole, [delta], wholeVelocity, OUTER_NESTEROV);
      nesterovStep(parts, [delta.slice(0, 5), delta.slice(5)], partVelocity, OUTER_NESTEROV);
    }
    expect(Float32Array.from([...(parts[0] ?? []), ...(parts[1] ?? [])])).toEqual(whole[0]);
  });

  it("refuses what does not fit before it changes anything", () => {
    const parameters = [Float32Array.of(1, 1), Float32Array.of(1)];
    const velocity = [new Float32Array(2), new Float32Array(1)];
    const short = [new Float32Array(2), new Float32Array(2)];
    expect(() => nesterovStep(parameters, short, velocity, OUTER_NESTEROV)).toThrow(RangeError);
    expect(() => nesterovStep(parameters, zeros(2), velocity, OUTER_NESTEROV)).toThrow(RangeError);
    expect(() => nesterovStep(parameters, parameters, velocity, { learningRate: 0, momentum: 0 })).toThrow(
      RangeError,
    );
    expect(() => nesterovStep(parameters, parameters, velocity, { learningRate: 1, momentum: 1 })).toThrow(
      RangeError,
    );
    expect(parameters[0]).toEqual(Float32Array.of(1, 1));
  });
});
