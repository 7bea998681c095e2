/** Windows' and macOS' icon files are lists of PNGs with a head. */

type Images = ReadonlyMap<number, Uint8Array>;

/** ICO: 6 bytes of head, 16 for each image, then the PNGs. A side of 256 is written as 0. */
export function ico(images: Images): Uint8Array {
  const chosen = pick(images, [16, 24, 32, 48, 64, 128, 256]);
  const head = Buffer.alloc(6 + 16 * chosen.length);
  head.writeUInt16LE(1, 2);
  head.writeUInt16LE(chosen.length, 4);
  let offset = head.length;
  for (const [index, { size, png }] of chosen.entries()) {
    const at = 6 + 16 * index;
    head.writeUInt8(size % 256, at);
    head.writeUInt8(size % 256, at + 1);
    head.writeUInt16LE(1, at + 4);
    head.writeUInt16LE(32, at + 6);
    head.writeUInt32LE(png.length, at + 8);
    head.writeUInt32LE(offset, at + 12);
    offset += png.length;
  }
  return Buffer.concat([head, ...chosen.map(({ png }) => png)]);
}

/** The four letters that name an image by its side; the second of a side is its dense half. */
const ICNS_TYPES = [
  ["icp4", 16],
  ["icp5", 32],
  ["icp6", 64],
  ["ic07", 128],
  ["ic08", 256],
  ["ic09", 512],
  ["ic10", 1024],
  ["ic11", 32],
  ["ic12", 64],
  ["ic13", 256],
  ["ic14", 512],
] as const;

/** ICNS: "icns" and the whole length, then for each image its type, its length and the PNG. */
export function icns(images: Images): Uint8Array {
  const parts = ICNS_TYPES.flatMap(([type, size]) =>
    pick(images, [size]).map(({ png }) => Buffer.concat([Buffer.from(type), length(8 + png.length), png])),
  );
  const body = Buffer.concat(parts);
  return Buffer.concat([Buffer.from("icns"), length(8 + body.length), body]);
}

function pick(images: Images, sizes: readonly number[]): { size: number; png: Uint8Array }[] {
  return sizes.map((size) => {
    const png = images.get(size);
    if (png === undefined) throw new Error(`there is no image of ${size} pixels`);
    return { size, png };
  });
}

function length(bytes: number): Buffer {
  const field = Buffer.alloc(4);
  field.writeUInt32BE(bytes);
  return field;
}
