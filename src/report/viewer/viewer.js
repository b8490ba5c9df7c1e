// The viewer of the maps: NiiVue draws, this file chooses what, and says what is under the crosshair.
(() => {
  // How NiiVue colours a volume, which it has no exported name for: from 0 to the end, and nothing below the threshold.
  const NOTHING_BELOW_MIN = 2;
  const element = (id) => document.getElementById(`viewer-${id}`);
  const root = document.getElementById("viewer");
  const { undefined: UNDEFINED, anatomies, maps } = JSON.parse(element("volumes").textContent);
  const [select, threshold, canvas] = ["map", "threshold", "canvas"].map(element);
  const axes = ["x", "y", "z"].map(element);
  let nv;
  let shown; // The map on the screen, its volume and its numbers as they are in the file.
  let wanted = 0; // Counts choices: what was chosen before the last one is not shown any more.

  const refuse = (reason) => {
    element("refusal").textContent = `${reason} The slices below show the same maps.`;
    element("refusal").hidden = false;
    element("tools").hidden = true;
    root.setAttribute("aria-busy", "false");
  };

  const written = (value, decimals) => value.toFixed(decimals).replace("-", "\u2212");

  async function start() {
    if (!document.createElement("canvas").getContext("webgl2")) {
      refuse("This browser has no WebGL 2, which the interactive viewer needs.");
      return;
    }
    if (typeof DecompressionStream === "undefined") {
      refuse("This browser is too old for the interactive viewer.");
      return;
    }
    await library();
    element("tools").hidden = false;
    nv = new niivue.Niivue({
      backColor: [0, 0, 0, 1],
      crosshairColor: [0.35, 0.85, 0.95, 1],
      crosshairWidth: 0.7,
      crosshairWidthUnit: "mm",
      dragAndDropEnabled: false,
      dragMode: niivue.DRAG_MODE.pan,
      isColorbar: false,
      isNearestInterpolation: true,
      isRadiologicalConvention: false,
      loadingText: "",
      logLevel: "error",
      multiplanarPadPixels: 6,
      multiplanarShowRender: niivue.SHOW_RENDER.NEVER,
      sliceType: niivue.SLICE_TYPE.MULTIPLANAR,
    });
    nv.onLocationChange = say;
    listen();
    await nv.attachToCanvas(canvas);
    await show();
    go(peak());
  }

  async function library() {
    const bytes = Uint8Array.from(atob(element("library").textContent), (letter) => letter.charCodeAt(0));
    const text = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    const script = document.createElement("script");
    script.textContent = await new Response(text).text();
    document.head.append(script);
  }

  function listen() {
    select.addEventListener("change", show);
    threshold.addEventListener("input", () => {
      cut();
      nv.updateGLVolume();
    });
    for (const axis of axes) {
      axis.addEventListener("change", () => {
        const place = axes.map((input) => input.valueAsNumber);
        if (place.every(Number.isFinite)) go(place);
      });
    }
    const steps = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowDown: [1, -1], ArrowUp: [1, 1], PageDown: [2, -1], PageUp: [2, 1] };
    // Before NiiVue's own keys, which are others.
    canvas.parentElement.addEventListener("keydown", (event) => {
      const step = steps[event.key];
      if (step && shown) {
        event.preventDefault();
        const place = here().mm;
        place[step[0]] += step[1] * Math.abs(shown.size[step[0]]);
        go(place);
      }
      event.stopPropagation();
    }, true);
    canvas.parentElement.addEventListener("keyup", (event) => event.stopPropagation(), true);
    // The wheel scrolls the page until somebody has clicked into the slices.
    canvas.parentElement.addEventListener("wheel", (event) => {
      if (document.activeElement !== canvas) event.stopPropagation();
    }, true);
  }

  const load = (base64, name, options) => niivue.NVImage.loadFromBase64({ base64, name: `${name}.nii.gz`, ...options });

  // Shows the chosen map over its anatomy.
  async function show() {
    const turn = ++wanted;
    root.setAttribute("aria-busy", "true");
    const { anatomy, map } = maps[Number(select.value)];
    const place = shown && here().mm;
    const under = await load(anatomies[anatomy].volume, "anatomy", { colormap: "gray", cal_min: 0, cal_max: 255 });
    const over = await load(map.volume, "map", { cal_min: map.low, cal_max: map.high });
    if (turn !== wanted) return;
    const numbers = Int16Array.from(over.img);
    over.img.forEach((number, at) => {
      if (number === UNDEFINED) over.img[at] = 0;
    });
    color(over, map);
    while (nv.volumes.length > 0) nv.removeVolume(nv.volumes[nv.volumes.length - 1]);
    nv.addVolume(under);
    shown = { map, volume: over, numbers, of: anatomies[anatomy].of, size: over.hdr.pixDims.slice(1, 4) };
    tools(map);
    cut();
    nv.addVolume(over);
    element("over").textContent = anatomies[anatomy].over;
    if (place) go(place);
    root.setAttribute("aria-busy", "false");
  }

  const channels = (colors) => [1, 3, 5].map((at) => colors.map((color) => parseInt(color.slice(at, at + 2), 16)));

  function color(volume, map) {
    if (map.labels) {
      const [R, G, B] = channels(map.labels.map(([, hex]) => hex));
      const [names, ends] = [map.labels.map(([name]) => name), map.labels.map(() => 255)];
      volume.setColormapLabel({ R: [0, ...R], G: [0, ...G], B: [0, ...B], A: [0, ...ends], labels: ["", ...names] });
      return;
    }
    // 0 has no colour: undefined voxels are drawn from it.
    for (const side of ["rising", "falling"].filter((side) => map[side])) {
      const [R, G, B] = channels(map[side]);
      const I = R.map((_, at) => Math.round((255 * at) / (R.length - 1)));
      nv.addColormap(`layerprint_${side}`, { R, G, B, A: R.map((_, at) => (at === 0 ? 0 : 255)), I });
    }
    volume.colormap = "layerprint_rising";
    volume.colormapNegative = map.falling ? "layerprint_falling" : "";
    volume.colormapType = NOTHING_BELOW_MIN;
  }

  // The slider and the legend of a map.
  function tools(map) {
    const decimals = map.decimals;
    threshold.disabled = Boolean(map.labels);
    threshold.min = map.low;
    threshold.max = map.high;
    threshold.step = 10 ** -decimals;
    threshold.value = map.falling ? map.high / 4 : map.low;
    const scale = element("scale");
    scale.replaceChildren();
    if (map.labels) {
      for (const [name, hex] of map.labels) {
        const swatch = document.createElement("span");
        swatch.className = "swatch";
        swatch.style.background = hex;
        const both = document.createElement("span");
        both.append(swatch, name);
        scale.append(both);
      }
      return;
    }
    const falling = map.falling ? [...map.falling].reverse().slice(0, -1) : [];
    const bar = document.createElement("span");
    bar.className = "bar";
    // Below the low end of a rising scale there is nothing to see.
    const rising = map.rising.slice(Math.floor((map.rising.length * map.low) / map.high));
    bar.style.background = `linear-gradient(to right, ${[...falling, ...rising].join(", ")})`;
    scale.append(written(map.falling ? -map.high : map.low, decimals > 2 ? 2 : 1), bar, written(map.high, decimals > 2 ? 2 : 1));
  }

  // Takes over the threshold; the next drawing shows it.
  function cut() {
    const { map, volume } = shown;
    if (map.labels) {
      element("threshold-value").textContent = "everything";
      return;
    }
    const from = threshold.valueAsNumber;
    [volume.cal_min, volume.cal_max] = [from, map.high];
    if (map.falling) [volume.cal_minNeg, volume.cal_maxNeg] = [-from, -map.high];
    const value = written(threshold.valueAsNumber, map.decimals);
    element("threshold-value").textContent = map.falling ? `${value} on either side of 0` : value;
  }

  // The position of a voxel's centre, in the order of the file.
  const at = (voxel) =>
    shown.volume.hdr.affine.slice(0, 3).map(([x, y, z, origin]) => x * voxel[0] + y * voxel[1] + z * voxel[2] + origin);

  // The voxel of the map whose centre is the nearest along each axis.
  function voxelAt(mm) {
    const rows = shown.volume.hdr.affine;
    const [a, b, c] = [0, 1, 2].map((axis) => rows.slice(0, 3).map((row) => row[axis]));
    const away = mm.map((place, row) => place - rows[row][3]);
    const cross = ([x, y, z], [u, v, w]) => [y * w - z * v, z * u - x * w, x * v - y * u];
    const dot = (u, v) => u[0] * v[0] + u[1] * v[1] + u[2] * v[2];
    const volume = dot(a, cross(b, c));
    return [cross(b, c), cross(c, a), cross(a, b)].map((normal) => Math.round(dot(away, normal) / volume));
  }

  // The voxel of the map under the crosshair: its centre in mm and its value; NaN where there is none.
  function here() {
    const { volume, numbers, map } = shown;
    const voxel = voxelAt(Array.from(nv.frac2mm(nv.scene.crosshairPos, 0, true)).slice(0, 3));
    const dims = volume.hdr.dims.slice(1, 4);
    const number = voxel.every((place, axis) => place >= 0 && place < dims[axis])
      ? numbers[voxel[0] + dims[0] * (voxel[1] + dims[1] * voxel[2])]
      : UNDEFINED;
    return { mm: at(voxel), value: number === UNDEFINED ? NaN : number * 10 ** -map.decimals };
  }

  function say() {
    if (!shown) return;
    const { mm, value } = here();
    const { map, of } = shown;
    const place = mm.map((place, axis) => `${"xyz"[axis]} ${written(place, 1)}`).join(", ");
    let what = map.labels ? "none" : "undefined or outside the mask";
    if (!Number.isNaN(value)) what = map.labels ? map.labels[value - 1][0] : `${written(value, map.decimals)} (${map.quantity})`;
    element("value").textContent = `${of}, ${map.name} at ${place} mm: ${what}`;
    axes.forEach((input, axis) => {
      if (document.activeElement !== input) input.value = mm[axis].toFixed(1);
    });
  }

  function go(place) {
    nv.scene.crosshairPos = nv.mm2frac(place, 0, true);
    nv.createOnLocationChange();
    nv.drawScene();
  }

  // Where the largest value is; the middle of the first volume for a map of indices.
  function peak() {
    const { map, volume, numbers } = shown;
    if (map.labels) return nv.frac2mm([0.5, 0.5, 0.5], 0, true).slice(0, 3);
    const most = numbers.reduce((best, number, at) => (number > numbers[best] ? at : best), 0);
    const [nx, ny] = volume.hdr.dims.slice(1, 3);
    return at([most % nx, Math.floor(most / nx) % ny, Math.floor(most / (nx * ny))]);
  }

  start().catch((error) => refuse(`The interactive viewer could not start (${error.message}).`));
})();
