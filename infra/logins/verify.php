<?php
// Prints whether PHP verifies a hash and recognizes its algorithm. Standard input has both, as JSON: [hash, password].
[$hash, $password] = json_decode(stream_get_contents(STDIN));
$known = in_array(password_get_info($hash)["algoName"], ["bcrypt", "argon2id"], true);
echo json_encode($known && password_verify($password, $hash));
