// Cells: boxes in layers, inputs at the top.

const SVG = "http://www.w3.org/2000/svg";

function el(name, properties = {}, ...children) {
  const found = Object.assign(document.createElement(name), properties);
  found.append(...children);
  return found;
}

function svg(name, attributes, parent) {
  const found = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) found.setAttribute(key, value);
  if (parent) parent.append(found);
  return found;
}

// The boxes, [label, all lines, kind], and the arrows, [from, to], of one cell; nothing where it cannot be drawn.
function cellOf(cells, i) {
  const packed = cells.cells[cells.of[i]];
  if (!packed) return null;
  const ends = cells.shapes[packed[0]];
  const arrows = [];
  for (let k = 0; k < ends.length; k += 2) arrows.push([ends[k], ends[k + 1]]);
  return { boxes: packed.slice(1).map((box) => cells.boxes[box]), arrows };
}

function drawCell(cell) {
  const height = 24, rise = 22, gap = 12;
  const { layer, slots, routes } = layered(cell.boxes.length, cell.arrows);
  const width = slots.map((_, i) => {
    if (i >= cell.boxes.length) return 6;
    const [label, , kind] = cell.boxes[i];
    return kind === "join" && label.length < 3 ? height : label.length * 6.7 + 16;
  });
  const rows = Array.from({ length: Math.max(...layer) + 1 }, () => []);
  layer.forEach((at, i) => rows[at].push(i));
  const near = slots.map(() => []);
  for (const route of routes) {
    for (let k = 1; k < route.length; k++) {
      near[route[k - 1]].push(route[k]);
      near[route[k]].push(route[k - 1]);
    }
  }
  const x = slots.map((_, i) => rows[layer[i]].indexOf(i) * 40);
  for (let sweep = 0; sweep < 16; sweep++) {
    for (const row of sweep % 2 ? rows.slice().reverse() : rows) {
      const wanted = new Map(row.map((i) => [i, near[i].reduce((sum, j) => sum + x[j], 0) / (near[i].length || 1)]));
      row.sort((a, b) => wanted.get(a) - wanted.get(b));
      place(row, row.map((i) => wanted.get(i)), width, gap, x);
    }
  }
  const left = Math.min(...x.map((at, i) => at - width[i] / 2)) - 6;
  const right = Math.max(...x.map((at, i) => at + width[i] / 2)) + 6;
  const bottom = rows.length * (height + rise) - rise + 8;
  const drawing = svg("svg", {
    viewBox: `${left} -4 ${right - left} ${bottom}`, width: right - left, height: bottom, class: "cell", role: "img",
    "aria-label": "cell: " + cell.boxes.map((box) => box[0]).join(", "),
  });
  const y = (i) => layer[i] * (height + rise) + height / 2;
  for (const route of routes) {
    const end = route.length - 1;
    let path = `M${x[route[0]]} ${y(route[0]) + height / 2}`;
    for (let k = 1; k <= end; k++) {
      const a = y(route[k - 1]) + height / 2, b = y(route[k]) - height / 2 - (k === end ? 5 : 0), middle = (a + b) / 2;
      path += `C${x[route[k - 1]]} ${middle} ${x[route[k]]} ${middle} ${x[route[k]]} ${b}`;
      if (k < end) path += `V${y(route[k]) + height / 2}`;
    }
    svg("path", { d: path, class: "arrow" }, drawing);
    const tip = [x[route[end]], y(route[end]) - height / 2];
    svg("path", { d: `M${tip[0]} ${tip[1]}l-3.2 -6.5h6.4z`, class: "tip" }, drawing);
  }
  cell.boxes.forEach(([label, lines, kind], i) => {
    const group = svg("g", { class: "box " + kind }, drawing);
    svg("title", {}, group).textContent = lines;
    const round = kind === "join" || kind === "end" ? height / 2 : 5;
    svg("rect", { x: x[i] - width[i] / 2, y: y(i) - height / 2, width: width[i], height, rx: round }, group);
    svg("text", { x: x[i], y: y(i) + 4, "text-anchor": "middle" }, group).textContent = label;
  });
  return drawing;
}

// A layer for every box, and a route for every arrow: where it passes a layer it gets a slot there.
function layered(n, arrows) {
  const first = Array(n).fill(0);
  for (const [i, j] of arrows) first[j] = Math.max(first[j], first[i] + 1);
  const last = Array(n).fill(Math.max(...first));
  for (const [i, j] of arrows.slice().reverse()) last[i] = Math.min(last[i], last[j] - 1);
  const layer = first.map((a, i) => (a ? Math.floor((a + last[i]) / 2) : 0));
  const routes = arrows.map(([i, j]) => {
    const route = [i];
    for (let at = layer[i] + 1; at < layer[j]; at++) route.push(layer.push(at) - 1);
    return [...route, j];
  });
  return { layer, slots: layer.map((_, i) => i), routes };
}

// Set x to what comes nearest to what is wanted without overlap (least squares, by pooling neighbours).
function place(row, wanted, width, gap, x) {
  const from = [0];
  for (let k = 1; k < row.length; k++) from.push(from[k - 1] + (width[row[k - 1]] + width[row[k]]) / 2 + gap);
  const blocks = [];
  wanted.forEach((want, k) => {
    let block = [want - from[k], 1];
    while (blocks.length && blocks.at(-1)[0] / blocks.at(-1)[1] > block[0] / block[1]) {
      const before = blocks.pop();
      block = [block[0] + before[0], block[1] + before[1]];
    }
    blocks.push(block);
  });
  let k = 0;
  for (const [total, size] of blocks) for (let m = 0; m < size; m++, k++) x[row[k]] = total / size + from[k];
}
