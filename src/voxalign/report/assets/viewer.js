// The viewer of a page: NiiVue shows what this script mixes of volumes that lie on one grid.
(async () => {
  "use strict";
  const $ = (id) => document.getElementById(id);
  const box = $("viewer"), form = box && box.querySelector("form");
  if (!box || typeof niivue === "undefined" || !document.createElement("canvas").getContext("webgl2")) return;
  const content = JSON.parse($("viewer-data").textContent);
  const { Niivue, NVImage } = niivue;
  const options = {
    isRadiologicalConvention: true, isOrientationTextVisible: true, backColor: [0, 0, 0, 1], crosshairColor: [0.94, 0.89, 0.26, 0.7],
    crosshairWidth: 0.4, crosshairWidthUnit: "percent", multiplanarLayout: 2, multiplanarEqualSize: false, logLevel: "error", dragAndDropEnabled: false, isSliceMM: true, multiplanarShowRender: 0,
    loadingText: "", scrollRequiresFocus: true, sagittalNoseLeft: true,
  };
  const shades = { R: [0, 36, 255], G: [0, 36, 255], B: [0, 36, 255], A: [0, 0, 128], I: [0, 36, 255] };  // for 3-D, where air must be transparent
  const load = async (volume, colormap, opacity) => {
    const image = await NVImage.loadFromBase64({ base64: volume.nifti, name: `${volume.name}.nii.gz`, colormap, opacity });
    image.hdr.intent_code = 0;  // whole numbers, but not names of structures
    [image.cal_min, image.cal_max] = [0, 255];
    return image;
  };

  box.hidden = false;
  const left = new Niivue(options);
  await left.attachToCanvas($("viewer-left"));
  left.addColormap("shades", shades);
  const fixed = await load(content.fixed, "gray", 1), others = [];
  for (const other of content.others) others.push(await load(other, "gray", 1));
  const screen = fixed.clone();
  screen.img = fixed.img.slice();
  left.addVolume(screen);
  const overlays = [];
  for (const [k, map] of content.maps.entries()) {
    left.addColormap(`map${k}`, map.colours);
    overlays.push(await load(map, `map${k}`, 0));
    left.addVolume(overlays[k]);
  }
  $("viewer-missing").hidden = true;

  // ---------------------------------------------------------------- what is mixed of fixed (a) and the other (b)
  const [nx, ny, nz] = fixed.dimsRAS.slice(1);
  const each = (rule) => (a, b, out, amount) => {
    for (let z = 0, i = 0; z < nz; z++) for (let y = 0; y < ny; y++) for (let x = 0; x < nx; x++, i++) out[i] = rule(x, y, z, amount) ? b[i] : a[i];
  };
  const mix = {
    fade(a, b, out, amount) { for (let i = 0; i < out.length; i++) out[i] = a[i] + (b[i] - a[i]) * amount; },
    swipe: each((x, y, z, amount) => x >= nx * (1 - amount)),
    checkerboard(a, b, out, amount) {
      const side = Math.max(2, Math.round(Math.max(nx, ny, nz) / (3 + 17 * amount)));
      each((x, y, z) => (Math.floor(x / side) + Math.floor(y / side) + Math.floor(z / side)) % 2)(a, b, out);
    },
    flicker(a, b, out) { out.set(turn ? b : a); },
    sides(a, b, out) { out.set(a); },
    fixed(a, b, out) { out.set(a); },
    other(a, b, out) { out.set(b); },
  };
  const words = { fade: "fixed ↔ other", swipe: "place", checkerboard: "squares", flicker: "speed" };
  const value = (name) => (form.elements[name] ? form.elements[name].value : "-1");
  let turn = 0, timer = 0, right = null, waiting = false;

  function paint() {
    waiting = false;
    mix[value("mode")](fixed.img, others[value("other")].img, screen.img, value("amount") / 100);
    overlays.forEach((overlay, k) => { overlay.opacity = k === Number(value("map")) ? value("strength") / 100 : 0; });
    left.updateGLVolume();
  }
  function scale() {
    const map = content.maps[value("map")], line = $("viewer-scale");
    if (line) line.hidden = !map;
    if (!map) return;
    const [canvas, [low, high]] = [line.querySelector("canvas"), line.querySelectorAll("span")], brush = canvas.getContext("2d");
    const { R, G, B, I } = map.colours, ramp = brush.createLinearGradient(0, 0, canvas.width, 0);
    for (let k = 1; k < I.length; k++) ramp.addColorStop((I[k] - 1) / 254, `rgb(${R[k]}, ${G[k]}, ${B[k]})`);
    brush.fillStyle = ramp;
    brush.fillRect(0, 0, canvas.width, canvas.height);
    low.textContent = Number(map.low.toPrecision(3));
    high.textContent = `${Number(map.high.toPrecision(3))} ${map.unit}: ${map.name}`;
  }
  function soon() {
    if (!waiting) requestAnimationFrame(paint);
    waiting = true;
  }
  async function sides(on) {
    $("viewer-right").hidden = !on;
    if (on && !right) {
      right = new Niivue(options);
      right.addColormap("shades", shades);
      await right.attachToCanvas($("viewer-right"));
      right.addVolume(others[value("other")].clone());
      left.broadcastTo([right], { "2d": true, "3d": true, sliceType: true, crosshair: true });
      right.broadcastTo([left], { "2d": true, "3d": true, sliceType: true, crosshair: true });
    }
    if (on) {
      right.volumes[0].img = others[value("other")].img;
      right.setSliceType(slices());
      right.updateGLVolume();
    }
    window.dispatchEvent(new Event("resize"));
  }
  const slices = () => (content.flat ? 0 : Number(value("plane")));
  function beat() {
    turn = 1 - turn;
    paint();
    timer = setTimeout(beat, 1200 - 8 * value("amount"));  // at most 2.5 changes a second: faster flicker can harm
  }
  async function change(event) {
    const mode = value("mode");
    if (event && event.target.name === "plane") left.setSliceType(slices());
    for (const one of [left, right]) if (one) one.setColormap(one.volumes[0].id, slices() === 4 ? "shades" : "gray");
    form.querySelector(".amount").hidden = !words[mode];
    form.querySelector(".amount span").textContent = words[mode] || "";
    clearTimeout(timer);
    scale();
    await sides(mode === "sides");
    if (mode === "flicker") beat(); else soon();
  }
  form.addEventListener("change", change);
  form.addEventListener("input", (event) => { if (event.target.type === "range" && value("mode") !== "flicker") soon(); });
  form.addEventListener("submit", (event) => event.preventDefault());

  // ---------------------------------------------------------------- what is under the cursor
  const amountOf = (volume, level) => volume.low + (volume.high - volume.low) * (volume.unit === null ? level / 255 : (level - 1) / 254);
  left.onLocationChange = (place) => {
    const [x, y, z] = Array.from(place.vox, Math.round), at = x + nx * (y + ny * z), texts = [];
    const mm = Array.from(place.mm).slice(0, content.flat ? 2 : 3).map((v) => v.toFixed(1)).join(", ");
    const all = [[content.fixed, fixed], ...content.others.map((other, k) => [other, others[k]]), ...content.maps.map((map, k) => [map, overlays[k]])];
    for (const [volume, image] of all) {
      const level = image.img[at];
      if (level === undefined || (volume.unit !== null && level === 0)) continue;
      texts.push(`${volume.name} ${Number(amountOf(volume, level).toPrecision(3))}${volume.unit ? " " + volume.unit : ""}`);
    }
    $("viewer-readout").textContent = `${mm} mm (RAS): ${texts.join(" · ")}`;
  };
  left.setSliceType(slices());
  await change();
  left.createOnLocationChange();
  box.dataset.ready = "yes";
})();
