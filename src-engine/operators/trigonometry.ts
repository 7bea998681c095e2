import { primitive } from "../operator.ts";
import type { Tensor } from "../tensor.ts";
import { same } from "./elementwise.ts";

/** An elementwise function with the slope `slope(x, y)`; gradients are `dy` times it. */
function curve(slope: (x: Tensor, y: Tensor) => Tensor) {
  return primitive({
    inputs: 1,
    infer: same,
    gradient: ({ inputs: [x], y, dy }) => [() => dy.mul(slope(x, y))],
  });
}

/** A divisor instead of a factor. */
function curveOver(divisor: (x: Tensor) => Tensor) {
  return primitive({ inputs: 1, infer: same, gradient: ({ inputs: [x], dy }) => [() => dy.div(divisor(x))] });
}

/** (eˣ + e⁻ˣ)/2: not every provider has Cosh. */
function coshOf(x: Tensor): Tensor {
  return x.exp().add(x.neg().exp()).mul(0.5);
}

function sinhOf(x: Tensor): Tensor {
  return x.exp().sub(x.neg().exp()).mul(0.5);
}

function oneMinusSquare(x: Tensor): Tensor {
  return x.mul(x).neg().add(1);
}

/** Functions of angles and of the hyperbola. What CUDA lacks of them runs on CPU; gradients do without. */
export const trigonometry = {
  Tan: curve((_x, y) => y.mul(y).add(1)),
  Asin: curveOver((x) => oneMinusSquare(x).sqrt()),
  Acos: curveOver((x) => oneMinusSquare(x).sqrt().neg()),
  Atan: curveOver((x) => x.mul(x).add(1)),
  Sinh: curve((x) => coshOf(x)),
  Cosh: curve((x) => sinhOf(x)),
  Asinh: curveOver((x) => x.mul(x).add(1).sqrt()),
  Acosh: curveOver((x) => x.mul(x).sub(1).sqrt()),
  Atanh: curveOver(oneMinusSquare),
};
