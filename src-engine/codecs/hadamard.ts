/**
 * Multiplies 64 values by the Hadamard matrix of order 64 (Sylvester's), in place: its own inverse
 * after a division by 64. H64 = H8 ⊗ H8, so that is 8 rows and then 8 columns of 8 values, each of
 * which fits into registers; 6 additions a value.
 */
export function hadamard64(values: Float64Array): void {
  for (let row = 0; row < 64; row += 8) hadamard8(values, row, 1);
  for (let column = 0; column < 8; column++) hadamard8(values, column, 8);
}

function hadamard8(values: Float64Array, first: number, stride: number): void {
  const a = values[first] as number;
  const b = values[first + stride] as number;
  const c = values[first + 2 * stride] as number;
  const d = values[first + 3 * stride] as number;
  const e = values[first + 4 * stride] as number;
  const f = values[first + 5 * stride] as number;
  const g = values[first + 6 * stride] as number;
  const h = values[first + 7 * stride] as number;
  const ab = a + b;
  const cd = c + d;
  const ef = e + f;
  const gh = g + h;
  const a_b = a - b;
  const c_d = c - d;
  const e_f = e - f;
  const g_h = g - h;
  const abcd = ab + cd;
  const ab_cd = ab - cd;
  const efgh = ef + gh;
  const ef_gh = ef - gh;
  const ac = a_b + c_d;
  const a_c = a_b - c_d;
  const eg = e_f + g_h;
  const e_g = e_f - g_h;
  values[first] = abcd + efgh;
  values[first + stride] = ac + eg;
  values[first + 2 * stride] = ab_cd + ef_gh;
  values[first + 3 * stride] = a_c + e_g;
  values[first + 4 * stride] = abcd - efgh;
  values[first + 5 * stride] = ac - eg;
  values[first + 6 * stride] = ab_cd - ef_gh;
  values[first + 7 * stride] = a_c - e_g;
}
