// The map of geofences: it shows what the page lists, picks points, and draws into the page's form. The forms do all of
// it, too: every page works without this file.
"use strict";

const place = document.getElementById("map");
const HANDLES_MOST = 200; // corners that can be taken by hand; more is slow, and nobody's work with a mouse
const CIRCLE_MOST = 100_000; // metres
const WORLD = [[-50, -150], [65, 150]];

const round = (number, digits = 6) => Number(number.toFixed(digits));
const at = ([longitude, latitude]) => [latitude, longitude];
const positionOf = (latlng) => [round(L.latLng(latlng).wrap().lng), round(latlng.lat)];

// Leaflet takes text for markup: whatever somebody typed goes to it by way of this.
function asText(text) {
  const element = document.createElement("span");
  element.textContent = text;
  return element;
}

function makeMap() {
  place.hidden = false;
  document.getElementById("no-map").hidden = true;
  const moves = !matchMedia("(prefers-reduced-motion: reduce)").matches;
  const map = L.map(place, { zoomAnimation: moves, fadeAnimation: moves, maxZoom: 20, minZoom: 1, zoomSnap: 0.5 });
  map.attributionControl.setPrefix(false);
  if (place.dataset.tiles) {
    L.tileLayer(place.dataset.tiles, { attribution: asText(place.dataset.attribution).innerHTML, maxZoom: 20 }).addTo(map);
  } else {
    grid(map).addTo(map);
  }
  L.control.scale({ imperial: false }).addTo(map);
  map.fitBounds(WORLD);
  return map;
}

// Where there are no tiles: squares, each with the coordinates of its upper left corner.
function grid(map) {
  const layer = L.gridLayer({ maxZoom: 20 });
  layer.createTile = (square) => {
    const tile = document.createElement("div");
    const corner = map.unproject(square.scaleBy(layer.getTileSize()), square.z).wrap();
    const digits = Math.max(0, Math.ceil(square.z / 3.3) - 1);
    tile.className = "map-tile";
    tile.textContent = `${corner.lat.toFixed(digits)}, ${corner.lng.toFixed(digits)}`;
    return tile;
  };
  return layer;
}

function layerOf(geometry, className) {
  if (geometry.type === "Circle") return L.circle(at(geometry.center), { radius: geometry.radius_meters, className });
  return L.geoJSON(geometry, { style: { className } });
}

function mark(layer, className, isOn) {
  const paths = layer.eachLayer ? layer.getLayers() : [layer];
  for (const path of paths) path.getElement()?.classList.toggle(className, isOn);
  if (isOn) layer.bringToFront();
}

function show(map, layers) {
  const bounds = L.featureGroup(layers).getBounds();
  if (bounds.isValid()) map.fitBounds(bounds, { padding: [24, 24], maxZoom: 17 });
}

// What the page lists is on the map; a line and its fence are chosen together.
function showFences(map) {
  const lines = [...document.querySelectorAll("[data-geometry]")].filter((line) => !line.closest("#point-result"));
  const layers = new Map(lines.map((line) => [line, layerOf(JSON.parse(line.dataset.geometry), "fence").addTo(map)]));
  const choose = (chosen) => {
    for (const [line, layer] of layers) {
      mark(layer, "chosen", line === chosen);
      line.classList.toggle("chosen", line === chosen);
      line.querySelector("[data-show]")?.setAttribute("aria-pressed", line === chosen);
    }
  };
  for (const [line, layer] of layers) {
    const button = line.querySelector("[data-show]");
    if (!button) continue;
    button.hidden = false;
    layer.bindTooltip(asText(line.querySelector("a").textContent));
    button.addEventListener("click", () => {
      choose(line);
      show(map, [layer]);
      place.scrollIntoView({ block: "nearest" });
    });
    layer.on("click", () => {
      if (place.classList.contains("aims")) return;
      choose(line);
      line.scrollIntoView({ block: "nearest" });
    });
  }
  show(map, [...layers.values()]);
}

// A point is picked on the map or typed; the answer stands in #point-result, and on the map.
function testPoints(map) {
  const form = document.getElementById("point-form");
  const button = form.querySelector("[data-pick]");
  const shown = L.layerGroup().addTo(map);
  const aim = (isOn) => {
    button.setAttribute("aria-pressed", isOn);
    place.classList.toggle("aims", isOn);
  };
  const showResult = () => {
    const result = document.getElementById("point-result");
    shown.clearLayers();
    if (result.dataset.lat === undefined) return;
    const held = [...result.querySelectorAll("[data-geometry]")].map((line) => JSON.parse(line.dataset.geometry));
    const layers = held.map((geometry) => layerOf(geometry, "fence chosen").addTo(shown));
    const spot = [Number(result.dataset.lat), Number(result.dataset.lng)];
    layers.push(L.circleMarker(spot, { radius: 7, className: "spot", interactive: false }).addTo(shown));
    if (!map.getBounds().contains(spot) || !document.querySelector("[data-show]")) show(map, layers);
  };
  button.hidden = false;
  button.addEventListener("click", () => {
    aim(button.getAttribute("aria-pressed") !== "true");
    place.scrollIntoView({ block: "nearest" });
  });
  map.on("click", (event) => {
    if (!place.classList.contains("aims")) return;
    [form.elements.lng.value, form.elements.lat.value] = positionOf(event.latlng);
    form.requestSubmit();
  });
  document.addEventListener("htmx:afterSettle", showResult);
  form.addEventListener("htmx:responseError", () => form.submit()); // a refusal is a page of its own, which says why
  showResult();
}

const map = place && makeMap();
if (map) showFences(map);
if (map && document.getElementById("point-form")) testPoints(map);
