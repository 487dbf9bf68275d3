// The elementwise transforms of coupling layers. Both directions get a value, the network's output `raw`, and where in it
// the parameters of this value are: `start`, the place of the first at this position, `e`, which of the transformed
// elements it is, and `count`, of how many. They return [value, log-derivative].

"use strict";

function makeAffine({ weights }) {
  const scale = weights.scale.data;
  const offset = weights.offset ? weights.offset.data[0] : 0;
  const shiftAndLogScale = (raw, start, e, count) => [
    raw[start + e],
    scale[e % scale.length] * Math.tanh(raw[start + count + e]) + offset,
  ];
  return {
    forward(x, ...place) {
      const [shift, logScale] = shiftAndLogScale(...place);
      return [(x + shift) * Math.exp(logScale), logScale];
    },
    inverse(z, ...place) {
      const [shift, logScale] = shiftAndLogScale(...place);
      return [z * Math.exp(-logScale) - shift, -logScale];
    },
  };
}

const SMALLEST = 1e-3; // share of a spline's bin, and slope
const SLOPE_AT_ZERO = Math.log(Math.expm1(1 - SMALLEST));

const softplus = (x) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));

/** The monotonic rational-quadratic splines of Neural Spline Flows, on [-bound, bound], the identity outside. */
function makeSpline({ bound }, parameters) {
  const bins = (parameters + 1) / 3;
  const [xs, ys] = [new Float64Array(bins + 1), new Float64Array(bins + 1)];

  function setKnots(knots, raw, start) {
    let largest = -Infinity;
    for (let k = 0; k < bins; k++) largest = Math.max(largest, raw[start + k]);
    let total = 0;
    for (let k = 0; k < bins; k++) total += knots[k + 1] = Math.exp(raw[start + k] - largest);
    knots[0] = -bound;
    for (let k = 0; k < bins; k++) {
      knots[k + 1] = knots[k] + 2 * bound * (SMALLEST + ((1 - bins * SMALLEST) * knots[k + 1]) / total);
    }
    knots[bins] = bound;
  }

  function findBin(value, raw, start, byHeight) {
    setKnots(xs, raw, start);
    setKnots(ys, raw, start + bins);
    const knots = byHeight ? ys : xs;
    let k = 0;
    while (k < bins - 1 && value >= knots[k + 1]) k++;
    const width = xs[k + 1] - xs[k];
    const height = ys[k + 1] - ys[k];
    const slope = (knot) =>
      knot === 0 || knot === bins ? 1 : SMALLEST + softplus(raw[start + 2 * bins + knot - 1] + SLOPE_AT_ZERO);
    // slopes in units of the mean slope of the bin
    return [xs[k], ys[k], width, height, (slope(k) * width) / height, (slope(k + 1) * width) / height];
  }

  const denominator = (xi, eta, left, right) => xi * xi + eta * eta + (left + right) * xi * eta;
  const logDerivative = (xi, eta, width, height, left, right) =>
    Math.log(height / width) +
    Math.log(right * xi * xi + 2 * xi * eta + left * eta * eta) -
    2 * Math.log(denominator(xi, eta, left, right));

  return {
    forward(x, raw, start, e) {
      if (Math.abs(x) >= bound) return [x, 0];
      const [x0, y0, width, height, left, right] = findBin(x, raw, start + e * parameters, false);
      const xi = (x - x0) / width;
      const eta = 1 - xi;
      const y = y0 + (height * xi * (xi + left * eta)) / denominator(xi, eta, left, right);
      return [y, logDerivative(xi, eta, width, height, left, right)];
    },
    inverse(y, raw, start, e) {
      if (Math.abs(y) >= bound) return [y, 0];
      const [x0, y0, width, height, left, right] = findBin(y, raw, start + e * parameters, true);
      const theta = (y - y0) / height;
      const phi = 1 - theta;
      const b = phi * left - theta * right; // phi u^2 + b u - theta = 0 for u = xi / eta
      const root = Math.sqrt(b * b + 4 * theta * phi);
      const [above, below] = b > 0 ? [2 * theta, root + b] : [root - b, 2 * phi];
      const xi = above / (above + below);
      const eta = below / (above + below);
      return [x0 + xi * width, -logDerivative(xi, eta, width, height, left, right)];
    },
  };
}
