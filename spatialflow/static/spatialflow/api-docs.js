// Show the API's description. A file of its own, because the Content-Security-Policy allows no inline script.
const api = document.getElementById("api");
window.SwaggerUIBundle({
  url: api.dataset.description,
  domNode: api,
  deepLinking: true,
  persistAuthorization: false,
  validatorUrl: null,
});
