// Drawing a fence: the form's fields hold the shape, the map shows what they hold and writes into them. Loaded behind
// geofences.js, whose map it uses.
"use strict";

const form = document.getElementById("fence-form");
const says = document.getElementById("map-says");
const tools = document.getElementById("map-tools");
const shown = L.layerGroup().addTo(map);
const handles = L.layerGroup().addTo(map);
const BODY_MOST = 2 ** 20; // bytes that the server takes of a form
let drawing = null; // { kind, corners } while a new shape is drawn

// A corner keeps counting beyond longitude 180, so that a shape over the antimeridian is in one piece as it is drawn.
const cornerOf = ({ lng, lat }) => [round(lng), round(lat)];
const tell = (text) => { says.textContent = text; };
const tool = (name) => tools.querySelector(`[data-${name}]`);

// The shape that the fields hold, or null where they hold none that could be drawn.
function read() {
  const field = form.elements;
  if (field.shape.value === "circle") {
    const [latitude, longitude, radius] = [field.circle_lat, field.circle_lng, field.circle_radius].map((one) => one.valueAsNumber);
    if (!(radius > 0) || Number.isNaN(latitude + longitude)) return null;
    return { type: "Circle", center: [longitude, latitude], radius_meters: radius };
  }
  try {
    let value = JSON.parse(field.geometry.value);
    if (value.type === "FeatureCollection" && value.features.length === 1) [value] = value.features;
    if (value.type === "Feature") value = value.geometry;
    spansOf(value);
    layerOf(value, "fence");
    return value;
  } catch {
    return null; // the server says what is wrong with it
  }
}

function write(geometry) {
  const field = form.elements;
  const isCircle = geometry.type === "Circle";
  field.shape.value = isCircle ? "circle" : "geojson";
  if (isCircle) {
    [field.circle_lng.value, field.circle_lat.value] = positionOf(at(geometry.center));
    field.circle_radius.value = geometry.radius_meters;
  } else {
    field.geometry.value = JSON.stringify(turnedHome(geometry));
  }
}

// The map goes on around the world: each polygon, like a circle's centre, is written to begin between -180 and 180, however far somebody went.
function turnedHome({ type, coordinates }) {
  const home = (polygon) => {
    const turns = Math.floor((Math.min(...polygon.flat().map(([longitude]) => longitude)) + 180) / 360);
    return polygon.map((ring) => ring.map(([longitude, ...rest]) => [round(longitude - 360 * turns), ...rest]));
  };
  return { type, coordinates: type === "Polygon" ? home(coordinates) : coordinates.map(home) };
}

// Its parts together, at the copy that is nearest to what is in sight.
function inSight(geometry) {
  const middle = middleOf([geometry]);
  return near(middle + turnTo(map.getCenter().lng, [middle, middle]), geometry);
}

// Whether its corners lie on both sides of the antimeridian.
function crosses(ring) {
  const turns = ring.map(([longitude]) => (longitude + 180) / 360);
  return Math.ceil(Math.max(...turns)) - Math.floor(Math.min(...turns)) > 1;
}

function draw(isFirst = false) {
  const held = read();
  shown.clearLayers();
  handles.clearLayers();
  if (!held) return tell("Draw the fence here, or describe it below.");
  const geometry = inSight(held);
  const layer = layerOf(geometry, "fence chosen").addTo(shown);
  if (isFirst || !map.getBounds().intersects(L.featureGroup([layer]).getBounds())) show(map, [layer]);
  if (geometry.type === "Circle") return circleHandles(geometry);
  const rings = geometry.type === "Polygon" ? geometry.coordinates : geometry.coordinates.flat();
  const corners = rings.reduce((sum, ring) => sum + ring.length - 1, 0);
  if (corners > HANDLES_MOST) return tell(`It has ${corners} corners, too many to move by hand: change it as GeoJSON.`);
  for (const ring of rings) ringHandles(geometry, ring);
  if (rings.some(crosses)) return tell("It goes over the antimeridian: saving it cuts it there.");
  return tell("Drag a corner to move it, a small dot to add one. Press a corner twice to remove it.");
}

function handle(position, className) {
  const icon = L.divIcon({ className: `handle ${className}`, iconSize: [20, 20] });
  return L.marker(at(position), { icon, draggable: true, keyboard: false }).addTo(handles);
}

function redraw(geometry) {
  shown.clearLayers();
  layerOf(geometry, "fence chosen").addTo(shown);
}

function move(geometry, ring, number, latlng) {
  ring[number].splice(0, 2, ...cornerOf(latlng)); // an altitude behind it stays
  if (number === 0) ring[ring.length - 1].splice(0, 2, ...cornerOf(latlng));
  redraw(geometry);
}

function keep(geometry) {
  write(geometry);
  draw();
}

function ringHandles(geometry, ring) {
  for (let number = 0; number < ring.length - 1; number += 1) {
    const [here, next] = [ring[number], ring[number + 1]];
    const middle = [round((here[0] + next[0]) / 2), round((here[1] + next[1]) / 2)];
    handle(here, "corner")
      .on("drag", (event) => move(geometry, ring, number, event.target.getLatLng()))
      .on("dragend", () => keep(geometry))
      .on("dblclick", () => removeCorner(geometry, ring, number));
    handle(middle, "between")
      .on("dragstart", () => ring.splice(number + 1, 0, middle))
      .on("drag", (event) => move(geometry, ring, number + 1, event.target.getLatLng()))
      .on("dragend", () => keep(geometry));
  }
}

function removeCorner(geometry, ring, number) {
  if (ring.length <= 4) return tell("A polygon keeps at least three corners.");
  ring.splice(number, 1);
  if (number === 0) ring[ring.length - 1] = [...ring[0]];
  return keep(geometry);
}

function circleHandles(circle) {
  const [longitude, latitude] = circle.center;
  const degrees = circle.radius_meters / (111_320 * Math.cos((latitude * Math.PI) / 180));
  const edge = handle([longitude + degrees, latitude], "corner");
  handle(circle.center, "corner")
    .on("drag", (event) => { circle.center = cornerOf(event.target.getLatLng()); redraw(circle); })
    .on("dragend", () => keep(circle));
  edge
    .on("drag", () => { circle.radius_meters = radius(circle.center, edge.getLatLng()); redraw(circle); })
    .on("dragend", () => keep(circle));
  tell("Drag the centre to move the circle, the point at its edge to change its radius.");
}

const radius = (center, latlng) => Math.min(CIRCLE_MOST, Math.max(1, Math.round(map.distance(at(center), latlng))));

// What the server would not read at all: said before what was typed is lost on the way there.
function tooLarge() {
  const size = new Blob([new URLSearchParams(new FormData(form))]).size;
  if (size <= BODY_MOST) return "";
  return `This holds ${(size / 2 ** 20).toFixed(1)} MB, and a form takes 1 MB. Paste a shape with fewer corners.`;
}

// A new shape, click by click.
function begin(kind) {
  drawing = { kind, corners: [] };
  map.doubleClickZoom.disable();
  handles.clearLayers();
  shown.clearLayers();
  offer();
  tell(kind === "polygon" ? "Press the map at each corner, then Finish." : "Press the map at the centre, then at the edge.");
}

function end() {
  drawing = null;
  map.doubleClickZoom.enable();
  offer();
  draw();
}

function offer() {
  const isPolygon = drawing?.kind === "polygon";
  place.classList.toggle("aims", drawing !== null);
  for (const button of tools.querySelectorAll("[data-draw]")) button.setAttribute("aria-pressed", button.dataset.draw === drawing?.kind);
  tool("finish").hidden = !isPolygon;
  tool("finish").disabled = !isPolygon || drawing.corners.length < 3;
  tool("undo").hidden = !isPolygon || drawing.corners.length === 0;
  tool("cancel").hidden = drawing === null;
}

function preview(latlng) {
  const { kind, corners } = drawing;
  shown.clearLayers();
  if (!corners.length) return;
  if (kind === "circle") {
    L.circle(at(corners[0]), { radius: radius(corners[0], latlng), className: "fence chosen" }).addTo(shown);
    return;
  }
  const line = corners.map(at);
  L.polyline(latlng ? [...line, latlng] : line, { className: "fence chosen open" }).addTo(shown);
  for (const corner of line) L.circleMarker(corner, { radius: 4, className: "spot", interactive: false }).addTo(shown);
}

function finish() {
  const ring = drawing.corners;
  if (ring.length < 3) return;
  write({ type: "Polygon", coordinates: [[...ring, [...ring[0]]]] });
  end();
}

map.on("click", ({ latlng }) => {
  if (!drawing) return;
  const { kind, corners } = drawing;
  if (kind === "circle" && corners.length) {
    write({ type: "Circle", center: corners[0], radius_meters: radius(corners[0], latlng) });
    end();
    return;
  }
  const position = cornerOf(latlng);
  if (String(corners.at(-1)) !== String(position)) corners.push(position); // a double press is one corner
  preview(latlng);
  offer();
});
map.on("mousemove", ({ latlng }) => { if (drawing) preview(latlng); });
map.on("dblclick", () => { if (drawing?.kind === "polygon") finish(); });
tools.addEventListener("click", ({ target }) => {
  if (target.dataset.draw) begin(target.dataset.draw);
  else if (target === tool("finish")) finish();
  else if (target === tool("cancel")) end();
  else if (target === tool("undo")) { drawing.corners.pop(); preview(); offer(); }
});
document.addEventListener("keydown", (event) => { if (event.key === "Escape" && drawing) end(); });
form.addEventListener("submit", (event) => {
  const sentence = drawing ? "This shape is not finished. Press Finish or Cancel, then save." : tooLarge();
  if (!sentence) return;
  event.preventDefault();
  tell(sentence);
  says.scrollIntoView({ block: "center" });
});
form.addEventListener("input", ({ target }) => {
  if (!drawing && /^(shape|geometry|circle_)/.test(target.name)) draw();
});
tools.hidden = false;
draw(true);
