// What both demonstrations share: colours, canvases, and dragging with a mouse, a finger or the keyboard.

"use strict";

const element = (id) => document.getElementById(id);
const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

/** The colour of a CSS variable as [red, green, blue]. */
function colour(name) {
  const text = getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  return [1, 3, 5].map((at) => parseInt(text.slice(at, at + 2), 16));
}

/** A CSS variable's colour for drawing. */
const paint = (name, opacity = 1) => `rgb(${colour(name).join(" ")} / ${opacity})`;

/** A colour between those of several CSS variables: t = 0 is the first, t = 1 the last. */
function gradient(...names) {
  const stops = names.map(colour);
  return (t) => {
    const place = clamp(t, 0, 1) * (stops.length - 1);
    const left = Math.min(Math.floor(place), stops.length - 2);
    return stops[left].map((value, i) => value + (place - left) * (stops[left + 1][i] - value));
  };
}

/** A canvas of width x height pixels with the colours of `values`, in rows from the top. */
function picture(values, width, height, colourOf) {
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  const pixels = new ImageData(width, height);
  values.forEach((value, i) => pixels.data.set([...colourOf(value), 255], 4 * i));
  canvas.getContext("2d").putImageData(pixels, 0, 0);
  return canvas;
}

/** A random generator with a seed, uniform on (0, 1). */
function uniform(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return (((t ^ (t >>> 14)) >>> 0) + 0.5) / 2 ** 32;
  };
}

/** `count` standard normal numbers. */
function normals(random, count) {
  return Float64Array.from({ length: count }, () => Math.sqrt(-2 * Math.log(random())) * Math.cos(2 * Math.PI * random()));
}

/** A canvas that is sharp on every screen: calls `draw` when its size or the theme changes. */
class Canvas {
  constructor(id, draw) {
    this.canvas = element(id);
    this.context = this.canvas.getContext("2d");
    this.draw = () => this.width && draw();
    new ResizeObserver(() => {
      this.measure();
      this.draw();
    }).observe(this.canvas); // also calls once at the beginning
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", this.draw);
    this.measure();
  }

  measure() {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    const ratio = window.devicePixelRatio || 1;
    Object.assign(this, { width, height });
    Object.assign(this.canvas, { width: Math.round(width * ratio), height: Math.round(height * ratio) });
    this.context.setTransform(ratio, 0, 0, ratio, 0, 0);
  }

  fill(image, isSmooth) {
    this.context.imageSmoothingEnabled = isSmooth;
    this.context.imageSmoothingQuality = "high";
    this.context.drawImage(image, 0, 0, this.width, this.height);
  }

  /** The ring that one drags. */
  handle(x, y) {
    const { context } = this;
    const focused = document.activeElement === this.canvas;
    for (const [radius, name] of [[focused ? 12 : 10, "--panel"], [focused ? 10 : 8, "--accent"], [3, "--panel"]]) {
      context.beginPath();
      context.arc(x, y, radius, 0, 2 * Math.PI);
      context.fillStyle = paint(name);
      context.fill();
    }
  }

  /**
   * Call `moved(x, y, event)` while a mouse or finger drags. A finger that starts farther than `reach` pixels from the
   * place that `grip()` returns scrolls the page instead; a tap there moves the point.
   */
  drag(moved, { grip = null, reach = 36 } = {}) {
    const { canvas } = this;
    const place = (event) => {
      const box = canvas.getBoundingClientRect();
      return [event.clientX - box.left - canvas.clientLeft, event.clientY - box.top - canvas.clientTop];
    };
    const isNear = ([x, y]) => !grip || Math.hypot(grip()[0] - x, grip()[1] - y) < reach;
    const holds = (event) => event.touches.length === 1 && isNear(place(event.touches[0])) && event.preventDefault();
    canvas.addEventListener("touchstart", holds, { passive: false });
    let active = null;
    canvas.addEventListener("pointerdown", (event) => {
      if (event.pointerType === "touch" && !isNear(place(event))) return;
      active = event.pointerId;
      canvas.setPointerCapture(active);
      moved(...place(event), event);
    });
    canvas.addEventListener("pointermove", (event) => event.pointerId === active && moved(...place(event), event));
    for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, () => (active = null));
    canvas.addEventListener("click", (event) => grip && moved(...place(event), event));
    for (const name of ["focus", "blur"]) canvas.addEventListener(name, this.draw);
  }

  /** Call `moved(right, up, event)` when an arrow key is pressed, with shift five times as far. */
  keys(moved) {
    const steps = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
    this.canvas.addEventListener("keydown", (event) => {
      if (!(event.key in steps)) return;
      event.preventDefault();
      moved(...steps[event.key].map((step) => step * (event.shiftKey ? 5 : 1)));
    });
  }
}

/** Work in pieces that leave the page responsive; starting again abandons what is left. */
class Background {
  constructor() {
    this.generation = 0;
  }

  start(pieces, perform, finished = () => {}) {
    const generation = ++this.generation;
    const queue = pieces.slice();
    const slice = () => {
      if (generation !== this.generation) return;
      const end = performance.now() + 12;
      while (queue.length && performance.now() < end) perform(queue.shift());
      if (queue.length) setTimeout(slice);
      finished(queue.length === 0);
    };
    setTimeout(slice);
  }
}

/** Show the value of a slider beside it, and call `changed(value)` when it moves. */
function slider(id, show, changed) {
  const input = element(id);
  const output = document.querySelector(`output[for="${id}"]`);
  const update = () => {
    output.textContent = show(Number(input.value));
    changed(Number(input.value));
  };
  input.addEventListener("input", update);
  output.textContent = show(Number(input.value));
  return {
    set: (value) => {
      input.value = value;
      output.textContent = show(Number(input.value));
    },
  };
}

/** A number with a proper minus sign. */
const number = (value, digits = 2) => value.toFixed(digits).replace("-", "\u2212");
