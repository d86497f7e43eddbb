<?php

// The service, as SimpleSAMLphp itself understands the metadata that the service serves. What the identity provider
// decides in a test comes before what the metadata wishes for.

$idp = json_decode(file_get_contents(__DIR__ . '/../idp.json'), true);

$known = is_file(__DIR__ . '/../sp.xml');
foreach ($known ? SimpleSAML\Metadata\SAMLParser::parseDescriptorsFile(__DIR__ . '/../sp.xml') : [] as $entityId => $parser) {
    $metadata[$entityId] = [
        'NameIDFormat' => $idp['name_id_format'],
        'saml20.sign.response' => $idp['signs_response'],
        'saml20.sign.assertion' => $idp['signs_assertion'],
        'assertion.encryption' => $idp['encrypts'],
        'validate.authnrequest' => $idp['wants_signed_requests'],
    ] + $parser->getMetadata20SP();
}
