// Batches of images in double precision: {data, n, height, width, channels}, with data a Float64Array in the order [n,
// height, width, channels]. Vectors have height = width = 1.

"use strict";

function batch(data, n, [height, width, channels]) {
  return { data, n, height, width, channels };
}

const positions = (x) => x.n * x.height * x.width;

function like(x, channels) {
  return { ...x, channels, data: new Float64Array(positions(x) * channels) };
}

function map(x, f) {
  return { ...x, data: x.data.map(f) };
}

function add(a, b) {
  return { ...a, data: a.data.map((value, i) => value + b.data[i]) };
}

/** Channels `start` to `stop` of a batch. */
function channelsOf(x, start, stop) {
  const part = like(x, stop - start);
  for (let p = 0; p < positions(x); p++) {
    for (let c = start; c < stop; c++) part.data[p * part.channels + c - start] = x.data[p * x.channels + c];
  }
  return part;
}

/** The channels of `a` in front of those of `b`. */
function concatenate(a, b) {
  const whole = like(a, a.channels + b.channels);
  for (let p = 0; p < positions(a); p++) {
    whole.data.set(a.data.subarray(p * a.channels, (p + 1) * a.channels), p * whole.channels);
    whole.data.set(b.data.subarray(p * b.channels, (p + 1) * b.channels), p * whole.channels + a.channels);
  }
  return whole;
}


// Where channel c of a pixel's 2x2 block goes: [row, column] -> its place among four. `squeeze` is colour-major,
// `squeezeDiagonal` puts the main diagonal first, which goes on to the next scale.
const SQUEEZES = {
  squeeze: (c, row, column) => 4 * c + 2 * row + column,
  squeezeDiagonal: (c, row, column, channels) => (row === column ? row : 2 + row) * channels + c,
};

/** Copy between an image and its squeezed form; `back` undoes it. */
function squeeze(x, kind, back) {
  const [height, width] = back ? [x.height, x.width] : [x.height / 2, x.width / 2];
  const channels = back ? x.channels / 4 : x.channels;
  const shape = back ? [2 * height, 2 * width, channels] : [height, width, 4 * channels];
  const y = batch(new Float64Array(x.data.length), x.n, shape);
  let fine = 0;
  for (let i = 0; i < x.n; i++) {
    for (let row = 0; row < 2 * height; row++) {
      for (let column = 0; column < 2 * width; column++) {
        const coarse = ((i * height + (row >> 1)) * width + (column >> 1)) * 4 * channels;
        for (let c = 0; c < channels; c++, fine++) {
          const other = coarse + SQUEEZES[kind](c, row & 1, column & 1, channels);
          if (back) y.data[fine] = x.data[other];
          else y.data[other] = x.data[fine];
        }
      }
    }
  }
  return y;
}
