// The flows of this page, from the data that build.py exports. `forward` is data to latent, `inverse` latent to data, both
// with their log-determinants.

"use strict";

const LOG_2_PI = Math.log(2 * Math.PI);

// A layer has forward(x, logDet, latents) and inverse(z, logDet, latents). They return the value and add to the
// Float64Array logDet; `latents` holds what earlier layers factored out.

function makeNormalize({ mean, log_std }) {
  const c = mean.data.length;
  const std = log_std.data.map(Math.exp);
  const total = log_std.data.reduce((a, b) => a + b, 0);
  const addTo = (logDet, x, sign) => logDet.forEach((_, i) => (logDet[i] += sign * x.height * x.width * total));
  return {
    forward(x, logDet) {
      addTo(logDet, x, -1);
      return map(x, (value, i) => (value - mean.data[i % c]) / std[i % c]);
    },
    inverse(z, logDet) {
      addTo(logDet, z, 1);
      return map(z, (value, i) => value * std[i % c] + mean.data[i % c]);
    },
  };
}

const isIdentityCell = (mask, row, column) => (row + column) % 2 === mask.parity;

/** x_i -> z_i = x_i, x_t -> normalize(transform(x_t; conditioner(x_i))). */
function makeCoupling({ mask, conditioner, transform, normalization, epsilon }) {
  const inCells = mask.kind === "checkerboard";
  const network = { MLP: makeMLP, ResNet: makeResNet }[conditioner.kind]({ ...conditioner, epsilon });
  const statistics = normalization.statistics;
  const mean = statistics && statistics.mean.data;
  const logStd = statistics && statistics.variance.data.map((variance) => 0.5 * Math.log(variance + epsilon));
  let elementwise = null; // made when the number of parameters is known

  function pass(x, logDet, direction) {
    const forward = direction === "forward";
    const middle = (x.channels + 1) >> 1;
    const [first, last] = inCells || mask.parity === 1 ? [0, inCells ? x.channels : middle] : [middle, x.channels];
    const count = last - first; // elements that are transformed, at each position
    let identity, cells;
    if (inCells) {
      identity = map(x, (value, i) => (isIdentityCell(mask, ...cellOf(x, Math.floor(i / x.channels))) ? value : 0));
      cells = map(like(x, 1), (_, p) => (isIdentityCell(mask, ...cellOf(x, p)) ? 1 : 0));
    } else {
      identity = mask.parity === 0 ? channelsOf(x, 0, middle) : channelsOf(x, middle, x.channels);
    }
    const raw = network(identity, cells);
    elementwise ??= { Affine: makeAffine, Spline: makeSpline }[transform.kind](transform, raw.channels / count);
    const y = { ...x, data: x.data.slice() };
    for (let p = 0; p < positions(x); p++) {
      if (inCells && cells.data[p]) continue;
      const i = Math.floor(p / (x.height * x.width));
      for (let e = 0; e < count; e++) {
        const at = p * x.channels + first + e;
        let value = y.data[at];
        if (statistics && !forward) {
          value = value * Math.exp(logStd[e]) + mean[e];
          logDet[i] += logStd[e];
        }
        const [result, logDerivative] = elementwise[direction](value, raw.data, p * raw.channels, e, count);
        y.data[at] = result;
        logDet[i] += logDerivative;
        if (statistics && forward) {
          y.data[at] = (result - mean[e]) * Math.exp(-logStd[e]);
          logDet[i] -= logStd[e];
        }
      }
    }
    return y;
  }
  const cellOf = (x, p) => [Math.floor(p / x.width) % x.height, p % x.width];
  return {
    isCoupling: true,
    parity: mask.parity,
    forward: (x, logDet) => pass(x, logDet, "forward"),
    inverse: (z, logDet) => pass(z, logDet, "inverse"),
  };
}

const SQUEEZE = { forward: (x) => squeeze(x, "squeeze", false), inverse: (z) => squeeze(z, "squeeze", true) };

const LAYERS = {
  normalize: makeNormalize,
  coupling: makeCoupling,
  squeeze: () => SQUEEZE,
  unsqueeze: () => ({ forward: SQUEEZE.inverse, inverse: SQUEEZE.forward }),
  // Half of the channels goes on; the other half is put aside, and put back at the end (`restore`).
  factor_out: () => ({
    isFactorOut: true,
    forward(x, logDet, latents) {
      const [onward, aside] = takeApart(x);
      latents.push(aside);
      return onward;
    },
    inverse: (z, logDet, latents) => restore(z, latents.pop()),
  }),
};

function takeApart(z) {
  const y = squeeze(z, "squeezeDiagonal", false);
  return [channelsOf(y, 0, y.channels / 2), channelsOf(y, y.channels / 2, y.channels)];
}

const restore = (onward, aside) => squeeze(concatenate(onward, aside), "squeezeDiagonal", true);


/** The exported parameters, which `tree` refers to, as {shape, data}. */
function withWeights(tree, bytes) {
  if (tree === null || typeof tree !== "object") return tree;
  if (!("at" in tree)) {
    return Object.fromEntries(Object.entries(tree).map(([name, part]) => [name, withWeights(part, bytes)]));
  }
  const size = tree.shape.reduce((a, b) => a * b, 1);
  if (!tree.bfloat16) return { shape: tree.shape, data: Float64Array.from(new Float32Array(bytes, tree.at, size)) };
  const words = Uint32Array.from(new Uint16Array(bytes, tree.at, size), (word) => word << 16);
  return { shape: tree.shape, data: Float64Array.from(new Float32Array(words.buffer)) };
}

/** A flow: the logit of pixels, log p - log(1 - p) for p = alpha + (1 - 2 alpha) x / levels, then the layers. */
class Flow {
  constructor(exported) {
    const bytes = Uint8Array.from(atob(exported.weights), (character) => character.charCodeAt(0)).buffer;
    this.logit = exported.logit;
    this.shape = exported.event_shape.length === 3 ? exported.event_shape : [1, 1, ...exported.event_shape];
    this.size = this.shape.reduce((a, b) => a * b, 1);
    this.layers = exported.layers.map((layer) => LAYERS[layer.kind](withWeights(layer, bytes)));
    this.couplings = this.layers.filter((layer) => layer.isCoupling);
    this.standardization = exported.layers[0].kind === "normalize" ? withWeights(exported.layers[0], bytes) : null;
  }

  /** For each latent the number of the scale that factors it out, 0 for the finest; the last scale has the rest. */
  latentScales() {
    let z = batch(new Float64Array(this.size), 1, this.shape);
    const asides = [];
    for (const layer of this.layers.filter(({ isFactorOut }) => isFactorOut)) {
      const [onward, aside] = takeApart(z);
      asides.push(map(aside, () => asides.length));
      z = map(onward, () => asides.length);
    }
    while (asides.length) z = restore(z, asides.pop());
    return z.data;
  }

  /** All layers, or of the couplings only the `count` that are nearest to the latents: a shorter flow. */
  _chosen(count) {
    let skipped = this.couplings.length - (count ?? this.couplings.length);
    return this.layers.filter((layer) => !layer.isCoupling || skipped-- <= 0);
  }

  /** Data, a flat array of n examples, to {z, logDet}. */
  forward(data, count) {
    const n = data.length / this.size;
    const logDet = new Float64Array(n);
    let x = batch(Float64Array.from(data), n, this.shape);
    if (this.logit) {
      const { levels, alpha } = this.logit;
      x = map(x, (value, i) => {
        const p = alpha + ((1 - 2 * alpha) * value) / levels;
        logDet[Math.floor(i / this.size)] += Math.log((1 - 2 * alpha) / levels) - Math.log(p) - Math.log1p(-p);
        return Math.log(p) - Math.log1p(-p);
      });
    }
    const latents = [];
    for (const layer of this._chosen(count)) x = layer.forward(x, logDet, latents);
    while (latents.length) x = restore(x, latents.pop());
    return { z: x.data, logDet };
  }

  /** Latents, a flat array of n examples, to {x, logDet}. */
  inverse(data, count) {
    const n = data.length / this.size;
    const logDet = new Float64Array(n);
    const latents = [];
    let z = batch(Float64Array.from(data), n, this.shape);
    const layers = this._chosen(count);
    for (const layer of layers) {
      if (!layer.isFactorOut) continue;
      const [onward, aside] = takeApart(z);
      z = onward;
      latents.push(aside);
    }
    for (const layer of layers.slice().reverse()) z = layer.inverse(z, logDet, latents);
    if (this.logit) {
      const { levels, alpha } = this.logit;
      z = map(z, (value, i) => {
        logDet[Math.floor(i / this.size)] -= softplus(value) + softplus(-value) + Math.log((1 - 2 * alpha) / levels);
        return (levels * (1 / (1 + Math.exp(-value)) - alpha)) / (1 - 2 * alpha);
      });
    }
    return { x: z.data, logDet };
  }

  /** Log-density of the standard normal base, for every example. */
  baseLogProb(z) {
    const total = new Float64Array(z.length / this.size);
    z.forEach((value, i) => (total[Math.floor(i / this.size)] -= 0.5 * (value * value + LOG_2_PI)));
    return total;
  }

  /** Log-density of data in nats. */
  logProb(data, count) {
    const { z, logDet } = this.forward(data, count);
    return this.baseLogProb(z).map((value, i) => value + logDet[i]);
  }
}
