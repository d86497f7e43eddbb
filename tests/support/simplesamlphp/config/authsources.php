<?php

$idp = json_decode(file_get_contents(__DIR__ . '/idp.json'), true);

$config = ['people' => ['exampleauth:UserPass']];
foreach ($idp['people'] as $person) {
    $config['people'][$person['user'] . ':' . $person['password']] = [
        'uid' => [$person['user']],
        'mail' => [$person['email']],
        'givenName' => [$person['first_name']],
        'sn' => [$person['last_name']],
    ];
}
