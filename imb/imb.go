package imb
