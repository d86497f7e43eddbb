// The map of geofences: it shows what the page lists, picks points, and draws into the page's form. The forms do all of
// it, too: every page works without this file.
"use strict";

const place = document.getElementById("map");
const HANDLES_MOST = 200; // corners that can be taken by hand; more is slow, and nobody's work with a mouse
const CIRCLE_MOST = 100_000; // metres
const WORLD = [[-50, -150], [65, 150]];

const round = (number, digits = 6) => Number(number.toFixed(digits));
const at = ([longitude, latitude]) => [latitude, longitude];
const positionOf = (latlng) => {
  const { lng, lat } = L.latLng(latlng).wrap();
  return [round(lng), round(lat)];
};

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
  const edges = geometry.type === "MultiPolygon" ? edgesOf(geometry.coordinates) : [];
  const seams = edges.filter(isSeam);
  if (!seams.length) return L.geoJSON(geometry, { style: { className } });
  const area = L.geoJSON(geometry, { style: { className: `${className} area` } });
  const borders = edges.filter((edge) => !isSeam(edge)).map(([from, to]) => [at(from), at(to)]);
  return area.addLayer(L.polyline(borders, { className: `${className} outline` }));
}

// What was cut at the antimeridian has the same edge there on both sides: a seam, and no border of the fence.
const meridian = ([longitude]) => Math.abs(longitude % 360) === 180;
const isSeam = ([from, to, count]) => count > 1 && meridian(from) && meridian(to);

// The edges of polygons, each with how many of them run between the same two latitudes.
function edgesOf(polygons) {
  const edges = polygons.flat().flatMap((ring) => ring.slice(1).map((corner, number) => [ring[number], corner]));
  const nameOf = (edge) => edge.map(([, latitude]) => round(latitude)).sort().join();
  const counts = {};
  for (const edge of edges) if (edge.every(meridian)) counts[nameOf(edge)] = (counts[nameOf(edge)] ?? 0) + 1;
  return edges.map((edge) => [...edge, counts[nameOf(edge)]]);
}

// Longitudes go on around the world, and geometries are cut at the antimeridian. What is near each other on the globe is
// drawn near each other: every circle and every polygon at the copy of it that is nearest to one longitude.
function spanOf(longitudes) {
  return [Math.min(...longitudes), Math.max(...longitudes)];
}

const spanOfPolygon = ([outer]) => spanOf(outer.map(([longitude]) => longitude));

function spanOfCircle({ center: [longitude, latitude], radius_meters: radius }) {
  const degrees = Math.min(180, radius / (111_320 * Math.cos((latitude * Math.PI) / 180)));
  return [longitude - degrees, longitude + degrees];
}

function spansOf(geometry) {
  if (geometry.type === "Circle") return [spanOfCircle(geometry)];
  return geometry.type === "Polygon" ? [spanOfPolygon(geometry.coordinates)] : geometry.coordinates.map(spanOfPolygon);
}

// The longitude around which they take the least room: opposite the widest gap that none of them reaches into.
function middleOf(geometries) {
  const spans = geometries.flatMap(spansOf).map(([west, east]) => {
    const turn = 360 * Math.floor((west + 180) / 360);
    return [west - turn, east - turn];
  });
  let [reach, gap, middle] = [Math.max(...spans.map(([, east]) => east)) - 360, 0, 0];
  for (const [west, east] of spans.sort(([one], [other]) => one - other)) {
    if (west - reach > gap) [gap, middle] = [west - reach, (west + reach) / 2 + 180];
    reach = Math.max(reach, east);
  }
  return middle > 180 ? middle - 360 : middle;
}

const turnTo = (longitude, [west, east]) => 360 * Math.round((longitude - (west + east) / 2) / 360);

function near(longitude, geometry) {
  const moved = (polygon) => {
    const turn = turnTo(longitude, spanOfPolygon(polygon));
    return polygon.map((ring) => ring.map(([here, ...rest]) => [here + turn, ...rest]));
  };
  if (geometry.type === "Circle") {
    const [here, latitude] = geometry.center;
    return { ...geometry, center: [here + turnTo(longitude, [here, here]), latitude] };
  }
  const { type, coordinates } = geometry;
  return { type, coordinates: type === "Polygon" ? moved(coordinates) : coordinates.map(moved) };
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

// What the page lists is on the map; a line and its fence are chosen together. Returns the longitude in the middle.
function showFences(map) {
  const lines = [...document.querySelectorAll("[data-geometry]")].filter((line) => !line.closest("#point-result"));
  const geometries = lines.map((line) => JSON.parse(line.dataset.geometry));
  const middle = middleOf(geometries);
  const layers = new Map(lines.map((line, number) => [line, layerOf(near(middle, geometries[number]), "fence").addTo(map)]));
  const choose = (chosen) => {
    for (const [line, layer] of layers) {
      mark(layer, "chosen", line === chosen);
      line.classList.toggle("chosen", line === chosen);
      line.querySelector("[data-show]")?.setAttribute("aria-pressed", line === chosen);
    }
  };
  for (const [line, layer] of layers) {
    if (line.dataset.name) layer.bindTooltip(asText(line.dataset.name));
    const button = line.querySelector("[data-show]");
    if (!button) continue;
    button.hidden = false;
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
  return middle;
}

// A point is picked on the map or typed; the answer stands in #point-result, and on the map, which stays as it is where
// that is in sight, and never comes nearer for a point that nothing holds. `middle` is the longitude that the fences are
// drawn around.
function testPoints(map, middle) {
  const form = document.getElementById("point-form");
  const button = form.querySelector("[data-pick]");
  const shown = L.layerGroup().addTo(map);
  const aim = (isOn) => {
    button.setAttribute("aria-pressed", isOn);
    place.classList.toggle("aims", isOn);
  };
  const showResult = (isFirst) => {
    const result = document.getElementById("point-result");
    shown.clearLayers();
    if (result.dataset.lat === undefined) return;
    const [latitude, longitude] = [Number(result.dataset.lat), Number(result.dataset.lng)];
    const spot = [latitude, longitude + turnTo(middle, [longitude, longitude])];
    const held = [...result.querySelectorAll("[data-geometry]")].map((line) => near(spot[1], JSON.parse(line.dataset.geometry)));
    const layers = held.map((geometry) => layerOf(geometry, "fence chosen").addTo(shown));
    layers.push(L.circleMarker(spot, { radius: 7, className: "spot", interactive: false }).addTo(shown));
    if (map.getBounds().contains(spot) && !(isFirst && held.length)) return;
    if (held.length) show(map, layers);
    else if (isFirst) map.fitBounds(map.getBounds().extend(spot));
    else map.panTo(spot);
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
  document.addEventListener("htmx:afterSettle", () => showResult(false));
  form.addEventListener("htmx:responseError", () => form.submit()); // a refusal is a page of its own, which says why
  showResult(true);
}

const map = place && makeMap();
const middle = map && showFences(map);
if (map && document.getElementById("point-form")) testPoints(map, middle);
