// A flow of points on the plane: one point in both planes, the latent grid and the density as seen through the flow.

"use strict";

const FINE = 160; // cells of the density along the longer side of a picture
const GRID = 3; // the latent grid reaches from -3 to 3 in steps of one half

class PlaneDemo {
  constructor(exported) {
    this.exported = exported;
    this.flows = {};
    this.samples = normals(uniform(7), 2 * 400);
    this.density = { latent: null, data: null };
    this.background = new Background();
    this.latent = new Canvas("latent-plane", () => this.drawPlane("latent"));
    this.data = new Canvas("data-plane", () => this.drawPlane("data"));
    for (const side of ["latent", "data"]) {
      const toPixel = () => this.toPixel(side, this.point[side]);
      this[side].drag((x, y) => this.move(side, this.toPlane(side, [x, y])), { grip: toPixel });
      this[side].keys((right, up) => {
        const step = this.views[side].reach / 60;
        this.move(side, [this.point[side][0] + right * step, this.point[side][1] + up * step]);
      });
    }
    this.layersSlider = slider("layers", (k) => `${k} of ${this.flow?.couplings.length ?? k}`, (k) => this.setLayers(k));
    const select = element("plane-flow");
    for (const name of Object.keys(exported)) select.add(new Option(name.replaceAll("_", " "), name));
    select.addEventListener("change", () => this.choose(select.value));
    for (const id of ["show-density", "show-grid", "show-samples"]) {
      element(id).addEventListener("change", () => this.draw());
    }
    new ResizeObserver(() => this.computeDensity()).observe(this.data.canvas);
    this.choose(select.value);
  }

  choose(name) {
    this.flow = this.flows[name] ??= new Flow(this.exported[name]);
    const { mean, log_std } = this.flow.standardization;
    const reach = 2.35 * Math.exp(Math.max(...log_std.data));
    this.views = { latent: { centre: [0, 0], reach: 3.5 }, data: { centre: [...mean.data], reach } };
    this.point = { latent: [0.75, 0.6], data: [0, 0] };
    element("layers").max = this.flow.couplings.length;
    this.setLayers(this.flow.couplings.length);
  }

  /** Use the `count` couplings that are nearest to the latents. */
  setLayers(count) {
    this.count = count;
    this.layersSlider.set(count);
    const all = this.flow.couplings.length;
    const [moved, given] = this.flow.couplings[all - count]?.parity === 0 ? ["x₂", "x₁"] : ["x₁", "x₂"];
    const newest = `The coupling added last bends ${moved} by an amount that depends on ${given}, and leaves ${given} alone.`;
    element("layers-note").textContent =
      count === 0 ? "No coupling yet: only the mean and the spread of the data, so the density is one Gaussian." : newest;
    this.curves = { latent: this.gridLines(), data: this.gridLines().map((line) => this.flow.inverse(line, count).x) };
    this.dots = { latent: this.samples, data: this.flow.inverse(this.samples, count).x };
    this.computeDensity();
    this.move("latent", this.point.latent);
  }

  /** Put the point somewhere in one plane; the flow says where it is in the other. */
  move(side, place) {
    this.point[side] = [...place];
    const { flow, point, count } = this;
    if (side === "latent") point.data = [...flow.inverse(place, count).x];
    else point.latent = [...flow.forward(place, count).z];
    const { z, logDet } = flow.forward(point.data, count);
    const base = flow.baseLogProb(z)[0];
    this.logProb = base + logDet[0];
    const pair = (values) => `(${[...values].map((value) => number(value)).join(", ")})`;
    element("plane-z").textContent = pair(point.latent);
    element("plane-x").textContent = pair(point.data);
    element("plane-base").textContent = number(base, 3);
    element("plane-log-det").textContent = number(logDet[0], 3);
    element("plane-log-prob").textContent = number(this.logProb, 4);
    this.draw();
  }

  /** Vertical lines, then horizontal ones, from the left and from below, as flat arrays of points. */
  gridLines() {
    const lines = [];
    for (const axis of [0, 1]) {
      for (let at = -GRID; at <= GRID; at += 0.5) {
        const line = new Float64Array(2 * 121);
        for (let i = 0; i <= 120; i++) {
          line[2 * i + axis] = at;
          line[2 * i + 1 - axis] = -GRID + (i * GRID) / 60;
        }
        lines.push(line);
      }
    }
    return lines;
  }

  scale(side) {
    return Math.min(this[side].width, this[side].height) / (2 * this.views[side].reach);
  }

  toPixel(side, [x, y]) {
    const { centre } = this.views[side];
    const scale = this.scale(side);
    return [this[side].width / 2 + (x - centre[0]) * scale, this[side].height / 2 - (y - centre[1]) * scale];
  }

  toPlane(side, [x, y]) {
    const { centre } = this.views[side];
    const scale = this.scale(side);
    return [centre[0] + (x - this[side].width / 2) / scale, centre[1] - (y - this[side].height / 2) / scale];
  }

  /** The density on a coarse and then on a fine grid of pixels, of which a few rows are computed at a time. */
  computeDensity() {
    if (!this.flow || !this.data.width || !this.latent.width) return;
    const { flow, count } = this;
    const pieces = [];
    for (const [side, cells] of [["data", 40], ["latent", 80], ["data", FINE]]) {
      const [width, height] = [this[side].width, this[side].height];
      const columns = Math.round((cells * width) / Math.max(width, height));
      const rows = Math.round((cells * height) / Math.max(width, height));
      const values = new Float64Array(rows * columns);
      const grid = { side, rows, columns, values };
      for (let row = 0; row < rows; row += 4) pieces.push({ grid, row, last: row + 4 >= rows });
    }
    this.background.start(pieces, ({ grid, row, last }) => {
      const { side, rows, columns, values } = grid;
      const end = Math.min(row + 4, rows);
      const points = new Float64Array(2 * (end - row) * columns);
      for (let i = 0; i < points.length / 2; i++) {
        const x = ((i % columns) + 0.5) / columns;
        const y = (row + Math.floor(i / columns) + 0.5) / rows;
        points.set(this.toPlane(side, [x * this[side].width, y * this[side].height]), 2 * i);
      }
      const logProb = side === "data" ? flow.logProb(points, count) : flow.baseLogProb(points);
      values.set(logProb.map(Math.exp), row * columns);
      if (last) {
        this.density[side] = grid;
        this.drawPlane(side);
      }
    });
  }

  draw() {
    this.drawPlane("latent");
    this.drawPlane("data");
  }

  drawPlane(side) {
    if (!this.point) return;
    const canvas = this[side];
    const { context, width, height } = canvas;
    context.clearRect(0, 0, width, height);
    const density = this.density[side];
    if (element("show-density").checked && density) canvas.fill(this.pictureOf(density), true);
    if (element("show-grid").checked) this.drawCurves(side);
    if (element("show-samples").checked) {
      context.fillStyle = paint("--sample", 0.65);
      for (let i = 0; i < this.dots[side].length; i += 2) {
        const [x, y] = this.toPixel(side, this.dots[side].subarray(i, i + 2));
        context.fillRect(x - 1.25, y - 1.25, 2.5, 2.5);
      }
    }
    const [x, y] = this.toPixel(side, this.point[side]);
    canvas.handle(clamp(x, 0, width), clamp(y, 0, height));
  }

  pictureOf(density) {
    const theme = paint("--density-0");
    if (density.theme !== theme) {
      const colours = gradient("--density-0", "--density-1", "--density-2");
      const largest = density.values.reduce((a, b) => Math.max(a, b), 0);
      const colourOf = (value) => colours(Math.sqrt(value / largest));
      Object.assign(density, { theme, picture: picture(density.values, density.columns, density.rows, colourOf) });
    }
    return density.picture;
  }

  drawCurves(side) {
    const { context } = this[side];
    const lines = this.curves[side];
    lines.forEach((line, i) => {
      const isVertical = i < lines.length / 2;
      const isAxis = i % (lines.length / 2) === (lines.length / 2 - 1) / 2;
      context.beginPath();
      for (let p = 0; p < line.length; p += 2) context.lineTo(...this.toPixel(side, line.subarray(p, p + 2)));
      context.strokeStyle = paint(isVertical ? "--grid-1" : "--grid-2", isAxis ? 1 : 0.6);
      context.lineWidth = isAxis ? 2 : 1;
      context.stroke();
    });
  }
}
