// The networks of coupling layers, from the identity half of a batch to the parameters of the transformed half.

"use strict";

const ACTIVATIONS = {
  relu: (h) => Math.max(h, 0),
  tanh: Math.tanh,
  silu: (h) => h / (1 + Math.exp(-h)),
  gelu: (h) => 0.5 * h * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (h + 0.044715 * h ** 3))),
};

/** Convolution with SAME padding; a kernel of size 1 is a dense layer. */
function convolve(x, kernel, bias) {
  const [size, , inputs, outputs] = kernel.shape;
  const y = like(x, outputs);
  const reach = size >> 1;
  for (let p = 0; p < positions(x); p++) {
    const row = Math.floor(p / x.width) % x.height;
    const column = p % x.width;
    const target = p * outputs;
    if (bias) y.data.set(bias.data, target);
    for (let i = 0; i < size; i++) {
      if (row + i - reach < 0 || row + i - reach >= x.height) continue;
      for (let j = 0; j < size; j++) {
        if (column + j - reach < 0 || column + j - reach >= x.width) continue;
        const source = (p + (i - reach) * x.width + j - reach) * inputs;
        for (let c = 0; c < inputs; c++) {
          const value = x.data[source + c];
          if (value === 0) continue;
          const at = ((i * size + j) * inputs + c) * outputs;
          for (let f = 0; f < outputs; f++) y.data[target + f] += value * kernel.data[at + f];
        }
      }
    }
  }
  return y;
}

/** The weights with norm 1, or the gain, for every output channel. */
function weightNormalized({ weights, gain }) {
  const outputs = weights.shape[3];
  const squares = new Float64Array(outputs);
  weights.data.forEach((value, i) => (squares[i % outputs] += value * value));
  const scale = squares.map((square, f) => (gain ? gain.data[f] : 1) / Math.sqrt(square));
  return { shape: weights.shape, data: weights.data.map((value, i) => value * scale[i % outputs]) };
}

function makeMLP({ activation, weights }) {
  const dense = ({ kernel, bias }) => [{ shape: [1, 1, ...kernel.shape], data: kernel.data }, bias];
  const hidden = [];
  while (weights[`hidden_${hidden.length}`]) hidden.push(dense(weights[`hidden_${hidden.length}`]));
  const out = dense(weights.out);
  return (x) => convolve(hidden.reduce((h, layer) => map(convolve(h, ...layer), ACTIVATIONS[activation]), x), ...out);
}

/** The residual network with skip connections of the image model. */
function makeResNet({ weights, epsilon }) {
  const convolution = (part) => {
    const kernel = weightNormalized(part);
    return (x) => convolve(x, kernel, part.bias);
  };
  const normalization = ({ statistics, offset }) => {
    const c = offset.data.length;
    if (!statistics) return (x) => map(x, (value, i) => value + offset.data[i % c]);
    const inverseStd = statistics.variance.data.map((variance) => 1 / Math.sqrt(variance + epsilon));
    const mean = statistics.mean.data;
    return (x) => map(x, (value, i) => (value - mean[i % c]) * inverseStd[i % c] + offset.data[i % c]);
  };
  const relu = (x) => map(x, ACTIVATIONS.relu);
  const parts = (tree, number) =>
    tree.shape
      ? { shape: tree.shape.slice(1), data: tree.data.subarray(...span(tree, number)) }
      : Object.fromEntries(Object.entries(tree).map(([name, part]) => [name, parts(part, number)]));
  const span = ({ shape, data }, number) => [0, 1].map((more) => ((number + more) * data.length) / shape[0]);

  const normIn = normalization(weights.norm_in);
  const convIn = convolution(weights.conv_in);
  const blocks = Array.from({ length: weights.blocks.skip.weights.shape[0] }, (_, number) => {
    const block = parts(weights.blocks, number);
    return {
      skip: convolution(block.skip),
      normIn: normalization(block.norm_in),
      convIn: convolution(block.conv_in),
      normOut: normalization(block.norm_out),
      convOut: convolution(block.conv_out),
    };
  });
  const skipOut = convolution(weights.skip_out);
  const normOut = normalization(weights.norm_out);
  const convOut = convolution(weights.conv_out);

  return (identity, cells) => {
    let h = normIn(identity);
    if (cells) h = map(h, (value) => 2 * value); // compensates that half of the cells are zero
    h = concatenate(relu(h), map(h, (value) => Math.max(-value, 0)));
    if (cells) h = concatenate(h, cells);
    let stream = convIn(h);
    let out = like(stream, stream.channels);
    for (const block of blocks) {
      const residual = block.convOut(relu(block.normOut(block.convIn(relu(block.normIn(stream))))));
      out = add(out, block.skip(stream));
      stream = add(stream, residual);
    }
    return convOut(relu(normOut(add(out, skipOut(stream)))));
  };
}
