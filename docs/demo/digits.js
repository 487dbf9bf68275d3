// A flow of images: four latents at the corners of a pad, what is changed about their mixture, and the image.

"use strict";

const TILES = 7; // along a side of the pad
const CORNERS = ["corner-1", "corner-2", "corner-3", "corner-4"];
const RANDOM = "random";

class DigitsDemo {
  constructor(exported) {
    this.flow = new Flow(exported);
    this.levels = exported.logit.levels;
    this.examples = exported.examples;
    this.scales = this.flow.latentScales();
    this.random = uniform(20);
    this.noise = normals(this.random, this.flow.size);
    this.shares = { fine: 0, coarse: 0 };
    this.temperature = 1;
    this.place = [0.3, 0.35];
    this.moved = new Float64Array(this.flow.size);
    this.selected = 27;
    this.tiles = new Map();
    this.background = new Background();
    this.corners = CORNERS.map(() => null);
    this.pad = new Canvas("pad", () => this.drawPad());
    this.image = new Canvas("digit", () => this.drawImage());
    this.latents = new Canvas("digit-latents", () => this.drawLatents());
    this.makeControls();
    [0, 8, 15, 12].forEach((example, corner) => this.setCorner(corner, String(example)));
    this.changed();
  }

  makeControls() {
    this.pad.drag((x, y) => this.moveTo([this.fromPad(x), this.fromPad(y)]), { grip: () => this.place.map((u) => this.toPad(u)) });
    this.pad.keys((right, up) => this.moveTo([this.place[0] + right / 40, this.place[1] - up / 40]));

    let from = null;
    this.latents.drag((x, y, event) => {
      if (event.type === "pointerdown") {
        const [column, row] = [x, y].map((value) => clamp(Math.floor((8 * value) / this.latents.width), 0, 7));
        this.selected = 8 * row + column;
        from = { y, value: this.moved[this.selected] };
      }
      this.moved[this.selected] = from.value + (from.y - y) / 30;
      this.changed();
    });
    this.latents.keys((right, up) => {
      const [row, column] = [Math.floor(this.selected / 8) - up, (this.selected % 8) + right];
      this.selected = 8 * clamp(row, 0, 7) + clamp(column, 0, 7);
      this.changed();
    });
    this.latents.canvas.addEventListener("keydown", ({ key }) => {
      const step = { "+": 0.2, "=": 0.2, "-": -0.2 }[key];
      if (!step) return;
      this.moved[this.selected] += step;
      this.changed();
    });

    CORNERS.forEach((id, corner) => {
      this.examples.labels.forEach((label, i) => element(id).add(new Option(`digit ${label}, ${"ab"[this.examples.labels.slice(0, i).filter((other) => other === label).length]}`, i)));
      element(id).add(new Option("random latents", RANDOM));
      element(id).addEventListener("change", () => {
        this.setCorner(corner, element(id).value);
        this.changed();
      });
    });
    const percent = (value) => `${Math.round(100 * value)}%`;
    this.sliders = {
      temperature: slider("temperature", (value) => value.toFixed(2), (value) => this.set({ temperature: value })),
      coarse: slider("coarse", percent, (value) => this.set({ shares: { ...this.shares, coarse: value } })),
      fine: slider("fine", percent, (value) => this.set({ shares: { ...this.shares, fine: value } })),
    };
    element("new-noise").addEventListener("click", () => this.set({ noise: normals(this.random, this.flow.size) }));
    element("random-corners").addEventListener("click", () => {
      CORNERS.forEach((id, corner) => this.setCorner(corner, RANDOM));
      this.changed();
    });
    element("reset").addEventListener("click", () => {
      this.moved.fill(0);
      Object.entries({ temperature: 1, coarse: 0, fine: 0 }).forEach(([name, value]) => this.sliders[name].set(value));
      this.set({ temperature: 1, shares: { fine: 0, coarse: 0 } });
    });
  }

  /** The latents of a corner: of a test image with uniform noise added to its pixels, or drawn from the base. */
  setCorner(corner, choice) {
    element(CORNERS[corner]).value = choice;
    if (choice === RANDOM) {
      this.corners[corner] = normals(this.random, this.flow.size);
      return;
    }
    const noise = uniform(1000 + Number(choice));
    this.corners[corner] = this.flow.forward(this.examples.pixels[choice].map((pixel) => pixel + noise())).z;
  }

  set(values) {
    Object.assign(this, values);
    this.changed();
  }

  moveTo(place) {
    this.place = place.map((value) => clamp(value, 0, 1));
    this.show();
  }

  /** The latents at a place of the pad: a mixture of the corners that keeps the variance, then the changes to it. */
  latentsAt([u, v]) {
    const weights = [(1 - u) * (1 - v), u * (1 - v), (1 - u) * v, u * v];
    const norm = Math.hypot(...weights);
    return Float64Array.from(this.scales, (scale, i) => {
      const mixed = this.corners.reduce((sum, corner, c) => sum + (weights[c] / norm) * corner[i], 0);
      const angle = ((scale === 0 ? this.shares.fine : this.shares.coarse) * Math.PI) / 2;
      const varied = Math.cos(angle) * mixed + Math.sin(angle) * this.noise[i];
      return this.temperature * varied + this.moved[i];
    });
  }

  /** Everything again: the image at once, the pad tile by tile, those next to the point first. */
  changed() {
    this.show();
    const places = Array.from({ length: TILES ** 2 }, (_, i) => [i % TILES, Math.floor(i / TILES)]);
    const distance = (tile) => Math.hypot(...tile.map((index, axis) => index / (TILES - 1) - this.place[axis]));
    places.sort((a, b) => distance(a) - distance(b));
    const compute = (tile) =>
      this.tiles.set(String(tile), this.flow.inverse(this.latentsAt(tile.map((index) => index / (TILES - 1)))).x);
    this.background.start(places, compute, () => this.drawPad());
  }

  show() {
    if (this.corners.includes(null)) return;
    const { flow } = this;
    this.z = this.latentsAt(this.place);
    const { x, logDet } = flow.inverse(this.z);
    this.x = x;
    const base = flow.baseLogProb(this.z)[0];
    this.logProb = base - logDet[0];
    element("digit-base").textContent = number(base, 2);
    element("digit-log-det").textContent = number(-logDet[0], 2);
    element("digit-log-prob").textContent = number(this.logProb, 4);
    element("digit-bits").textContent = number(-this.logProb / (flow.size * Math.LN2), 3);
    const kind = this.scales[this.selected] === 0 ? "fine" : "coarse";
    element("digit-latent").textContent = `${kind}, z = ${number(this.z[this.selected])}`;
    this.drawPad();
    this.drawImage();
    this.drawLatents();
  }

  tile() {
    return this.pad.width / TILES;
  }

  toPad(u) {
    return this.tile() * (0.5 + (TILES - 1) * u);
  }

  fromPad(pixel) {
    return (pixel / this.tile() - 0.5) / (TILES - 1);
  }

  /** Values in pixel units as the picture of an 8x8 image. */
  pictureOf(x, from) {
    const colours = gradient(from, "--ink");
    const shade = (value) => colours(clamp(Math.floor(value), 0, this.levels - 1) / (this.levels - 1));
    return picture(x, 8, 8, shade);
  }

  drawPad() {
    const { context, width, height } = this.pad;
    context.clearRect(0, 0, width, height);
    context.imageSmoothingEnabled = false;
    context.globalAlpha = 0.75;
    for (const [key, x] of this.tiles) {
      const [column, row] = key.split(",").map(Number);
      const size = this.tile();
      context.drawImage(this.pictureOf(x, "--panel"), column * size + 3, row * size + 3, size - 6, size - 6);
    }
    context.globalAlpha = 1;
    this.pad.handle(...this.place.map((u) => this.toPad(u)));
  }

  drawImage() {
    if (this.x) this.image.fill(this.pictureOf(this.x, "--panel"), false);
  }

  drawLatents() {
    if (!this.z) return;
    const { context, width } = this.latents;
    const colours = gradient("--negative", "--panel", "--positive");
    this.latents.fill(picture(this.z, 8, 8, (value) => colours(value / 6 + 0.5)), false);
    const size = width / 8;
    this.scales.forEach((scale, i) => {
      if (scale === 0) return;
      context.fillStyle = paint("--ink", 0.55);
      context.fillRect((i % 8) * size + size / 2 - 1.5, Math.floor(i / 8) * size + size / 2 - 1.5, 3, 3);
    });
    context.strokeStyle = paint("--accent");
    context.lineWidth = 2.5;
    context.strokeRect((this.selected % 8) * size + 1, Math.floor(this.selected / 8) * size + 1, size - 2, size - 2);
  }
}
